"""The flags by which commands take a budget."""

from __future__ import annotations

import argparse

from legodnn.commands.parser import CommandParser
from legodnn.errors import WorkloadError
from legodnn.units import parse_memory
from legodnn.workload import Budget


def add_budget_flags(parser: CommandParser) -> None:
    """Declare --memory, --latency and --cores."""
    parser.add_argument("--memory", metavar="SIZE", help="most memory for all models together, such as 20MB")
    parser.add_list(
        "--latency",
        _latency_item,
        metavar="[NAME=]MS",
        help="longest time of an inference in milliseconds, of every model or of the one named: 5, or faces=8,scenes=5",
    )
    parser.add_argument(
        "--cores", type=float, metavar="N", help="most CPU cores for all models together; every model needs a rate_hz"
    )


def budget_flags(args: argparse.Namespace) -> list[str]:
    """Return which of these flags were given."""
    given = {"--memory": args.memory is not None, "--latency": bool(args.latency), "--cores": args.cores is not None}
    return [flag for flag, is_given in given.items() if is_given]


def budget_from(args: argparse.Namespace, given: Budget) -> Budget:
    """Return the workload's own budget, with the limits of the command line in place of its own.

    Raises:
        WorkloadError: a flag holds no limit, or --latency limits all models and some by name.
    """
    return Budget(
        memory_bytes=given.memory_bytes if args.memory is None else _memory(args.memory),
        latency_ms=_latency(args.latency or [], given.latency_ms),
        cores=given.cores if args.cores is None else args.cores,
    )


def _memory(text: str) -> int:
    try:
        return parse_memory(text)
    except ValueError as e:
        raise WorkloadError(f"--memory: {e}") from None


def _latency(items: list[str], given: float | dict[str, float] | None) -> float | dict[str, float] | None:
    """Return the limits of latency: those of the workload, with what --latency says in their place."""
    for_all, by_name = given, {}
    for name, limit in map(_named_limit, items):
        if name is None:
            for_all = limit
        else:
            by_name[name] = limit
    if not by_name:
        return for_all
    if isinstance(for_all, float | int):
        raise WorkloadError("--latency for all models and --latency NAME=MS do not go together; name each model")
    return {**(for_all or {}), **by_name}


def _named_limit(text: str) -> tuple[str | None, float]:
    """Split [NAME=]MS into the model's name, None for all models, and the milliseconds."""
    name, equals, number = text.rpartition("=")
    try:
        return name if equals else None, float(number)
    except ValueError:
        raise WorkloadError(
            f"--latency {text}: {number!r} is not a number of milliseconds; write 5 or NAME=5"
        ) from None


def _latency_item(text: str) -> str:
    """Return the text of one limit, checked."""
    _named_limit(text)
    return text
