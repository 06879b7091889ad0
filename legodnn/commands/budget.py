"""The flags by which commands take a budget."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from legodnn.commands.parser import CommandParser
from legodnn.errors import WorkloadError
from legodnn.tail import DEFAULT_QUANTILE
from legodnn.units import parse_memory
from legodnn.workload import Budget, Workload


def add_budget_flags(parser: CommandParser) -> None:
    """Declare --memory, --latency, --quantile and --cores."""
    parser.add_argument("--memory", metavar="SIZE", help="most memory for all models together, such as 20MB")
    parser.add_list(
        "--latency",
        partial(_checked_item, "--latency"),
        metavar="[NAME=]MS",
        help="longest time of an inference in milliseconds, of every model or of the one named: 5, or faces=8,scenes=5",
    )
    parser.add_list(
        "--quantile",
        partial(_checked_item, "--quantile"),
        metavar="[NAME=]SHARE",
        help="share of inferences that must keep their limit of latency, of every model or of the one named: 0.99, or "
        f"faces=0.99; 0.5 is the median (default: {DEFAULT_QUANTILE:g}, nearly every frame)",
    )
    parser.add_argument(
        "--cores", type=float, metavar="N", help="most CPU cores for all models together; every model needs a rate_hz"
    )


def budget_flags(args: argparse.Namespace) -> list[str]:
    """Return which of these flags were given."""
    given = {
        "--memory": args.memory is not None,
        "--latency": bool(args.latency),
        "--quantile": bool(args.quantile),
        "--cores": args.cores is not None,
    }
    return [flag for flag, is_given in given.items() if is_given]


def budget_from(args: argparse.Namespace, workload: Workload) -> Budget:
    """Return the workload's own budget, with the limits of the command line in place of its own.

    Raises:
        WorkloadError: a flag holds no limit, or --latency or --quantile is for all models and for some by name.
    """
    given, names = workload.budget, [m.name for m in workload.models]
    return Budget(
        memory_bytes=given.memory_bytes if args.memory is None else _memory(args.memory),
        latency_ms=_by_model("--latency", args.latency or [], given.latency_ms, names),
        quantile=_by_model("--quantile", args.quantile or [], given.quantile, names),
        cores=given.cores if args.cores is None else args.cores,
    )


def _memory(text: str) -> int:
    try:
        return parse_memory(text)
    except ValueError as e:
        raise WorkloadError(f"--memory: {e}") from None


# What the value of a flag is, and how it is written.
_VALUES = {
    "--latency": ("a number of milliseconds", "write 5 or NAME=5"),
    "--quantile": ("a share of inferences", "write 0.95 or NAME=0.95"),
}


def _by_model(
    flag: str, items: list[str], given: float | dict[str, float] | None, names: Sequence[str]
) -> float | dict[str, float] | None:
    """Return numbers for all models or by name: those of the workload, with what a flag says in their place."""
    numbers: dict[str | None, float] = {}
    for name, number in (_named_number(flag, item) for item in items):
        if name in numbers:
            whose = "every model" if name is None else name
            raise WorkloadError(
                f"{flag} has {numbers[name]:g} and {number:g} for {whose}; give one (a fraction is written 2.5)"
            )
        numbers[name] = number
    by_name = {name: number for name, number in numbers.items() if name is not None}
    if not by_name:
        return numbers.get(None, given)
    if None in numbers:
        raise WorkloadError(f"{flag} for all models and {flag} NAME=... do not go together; name each model")
    if isinstance(given, float | int):
        given = dict.fromkeys(names, given)
    return {**(given or {}), **by_name}


def _named_number(flag: str, text: str) -> tuple[str | None, float]:
    """Split [NAME=]NUMBER into the model's name, None for all models, and the number."""
    name, equals, number = text.rpartition("=")
    try:
        return name if equals else None, float(number)
    except ValueError:
        what, how = _VALUES[flag]
        raise WorkloadError(f"{flag} {text}: {number!r} is not {what}; {how}") from None


def _checked_item(flag: str, text: str) -> str:
    """Return the text of one item of a flag, checked."""
    _named_number(flag, text)
    return text
