"""The flags by which commands take a budget."""

from __future__ import annotations

import argparse

from legodnn.errors import WorkloadError
from legodnn.units import parse_memory
from legodnn.workload import Budget


def add_budget_flags(parser: argparse.ArgumentParser) -> None:
    """Declare --memory, --latency and --cores."""
    parser.add_argument("--memory", metavar="SIZE", help="memory for all models together, such as 20MB")
    parser.add_argument(
        "--latency",
        action="append",
        default=[],
        metavar="[NAME=]MS",
        help="longest inference in milliseconds, of all models or of one (repeatable)",
    )
    parser.add_argument(
        "--cores", type=float, metavar="N", help="CPU cores for all models together; models need a rate_hz"
    )


def budget_flags(args: argparse.Namespace) -> list[str]:
    """Which of these flags were given."""
    given = {"--memory": args.memory is not None, "--latency": bool(args.latency), "--cores": args.cores is not None}
    return [flag for flag, is_given in given.items() if is_given]


def budget_from(args: argparse.Namespace, given: Budget) -> Budget:
    """The workload's own budget, replaced where the command line says something."""
    latency_ms = given.latency_ms
    named: dict[str, float] = {}
    for text in args.latency:
        name, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise WorkloadError(
                f"--latency {text}: {number!r} is not a number of milliseconds; write 5 or NAME=5"
            ) from None
        if equals:
            named[name] = value
        else:
            latency_ms = value
    if named:
        if isinstance(latency_ms, float | int):
            raise WorkloadError("--latency for all models and --latency NAME=MS do not go together; name each model")
        latency_ms = {**(latency_ms or {}), **named}
    return Budget(
        memory_bytes=given.memory_bytes if args.memory is None else parse_memory(args.memory),
        latency_ms=latency_ms,
        cores=given.cores if args.cores is None else args.cores,
    )
