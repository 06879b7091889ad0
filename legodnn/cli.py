"""The `legodnn` command. Each subcommand is a module in `legodnn.commands`, imported when the command starts.

Errors of ours are printed in a line or two and give exit status 1; Ctrl-C gives 130, SIGTERM 143 and SIGHUP 129;
--debug shows the traceback.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from legodnn import __version__
from legodnn.errors import LegoError
from legodnn.printable import printable


class _Ended(BaseException):
    """A signal asks the process to end: cleaning up runs as for Ctrl-C."""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    # Imported here, where Ctrl-C is expected: it takes the better part of a second.
    from legodnn.commands import build, demo, doctor, inspect, plan, profile, run

    main_parser = argparse.ArgumentParser(
        prog="legodnn",
        description="Run several vision DNNs at once under memory and latency budgets that keep changing.",
        epilog="start with: legodnn demo",
    )
    main_parser.add_argument("--version", action="version", version=f"legodnn {__version__}")
    main_parser.add_argument("--debug", action="store_true", help="show tracebacks")
    subparsers = main_parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (demo, build, inspect, profile, plan, run, doctor):
        command.add_parser(subparsers)
    return main_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    args = argparse.Namespace()
    try:
        with _signals_end_it():
            args = parser().parse_args(argv)
            status: int = args.run(args)
            if sys.stdout is not None:  # as it is where the command was started with a closed one
                sys.stdout.flush()
            return status
    except LegoError as e:
        if debug:
            raise
        return _told(f"legodnn: {e}", 1)
    except (KeyboardInterrupt, _Ended) as e:
        if debug:
            raise
        number = e.args[0] if isinstance(e, _Ended) else signal.SIGINT
        what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        told = getattr(args, "interrupted", "nothing half-written was left, run the same command again")
        return _told(f"\nlegodnn: {what}; {told}", 128 + number)
    except BrokenPipeError:  # the reader (head, less) has gone: end quietly
        _drop_output()
        return 1
    except OSError as e:  # the disk behind stdout is full, say
        if debug:
            raise
        _drop_output()
        where = f"{e.filename}: " if e.filename else ""
        return _told(f"legodnn: {where}{e.strerror or e}", 1)


def _told(message: str, status: int) -> int:
    """Say on stderr why the command ends, if there is still anybody to hear it."""
    try:
        if sys.stderr is not None:
            print(printable(message), file=sys.stderr)
    except OSError:
        _drop_output()
    return status


def _drop_output() -> None:
    """Keep Python from flushing into what cannot be written any more when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(null, stream.fileno())
    os.close(null)


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Meanwhile SIGTERM and SIGHUP unwind the stack as Ctrl-C does, unless they are ignored or taken already."""

    def end(number: int, _: object) -> NoReturn:
        raise _Ended(number)

    taken = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        try:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, end)
                taken.append(number)
        except ValueError:  # another than the main thread may not
            break
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
