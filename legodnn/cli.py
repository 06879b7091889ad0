"""The `legodnn` command. Each subcommand is a module in `legodnn.commands`, imported when the command starts.

Errors of ours are printed in a line or two and give exit status 1; Ctrl-C gives 130; --debug shows the traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from legodnn import __version__
from legodnn.commands import build, demo, doctor, inspect, plan, profile, run
from legodnn.errors import LegoError

_COMMANDS = (demo, build, inspect, profile, plan, run, doctor)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    main_parser = argparse.ArgumentParser(
        prog="legodnn",
        description="Run several vision DNNs at once under memory and latency budgets that keep changing.",
        epilog="start with: legodnn demo",
    )
    main_parser.add_argument("--version", action="version", version=f"legodnn {__version__}")
    main_parser.add_argument("--debug", action="store_true", help="show tracebacks")
    subparsers = main_parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(subparsers)
    return main_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    args = parser().parse_args(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except LegoError as e:
        if args.debug:
            raise
        print(f"legodnn: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if args.debug:
            raise
        told = getattr(args, "interrupted", "nothing half-written was left, the same command starts again")
        print(f"\nlegodnn: interrupted; {told}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone: end quietly, and keep Python from flushing into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
