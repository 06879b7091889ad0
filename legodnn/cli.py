"""The `legodnn` command. Each subcommand is a module in `legodnn.commands`, imported when the command starts.

An error of this package (`LegoError`) is printed in a line or two and gives exit status 1; a wrong command line gives
2, Ctrl-C 130, SIGTERM 143 and SIGHUP 129. --debug shows the traceback.
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
from legodnn.console import notes_shown, say
from legodnn.errors import LegoError
from legodnn.printable import printable


class _Ended(BaseException):
    """A signal asked the process to end. It unwinds the stack like KeyboardInterrupt, so that everything cleans up."""


_NEXT = """\
LegoDNN runs several vision DNNs at once under memory and latency budgets that keep changing.

To see everything work, on built-in data:

  legodnn demo                                         takes some ten minutes

For a model of your own, in this order:

  legodnn build mymodel.keras --out stores/mymodel     on the workstation: cut, prune, train, export
  legodnn inspect stores/mymodel                       what the store holds
  legodnn profile stores/mymodel                       on the device: measure every option
  legodnn plan stores/mymodel --memory 20MB            what the scheduler would choose
  legodnn run stores/mymodel --input photos            run it on images, a video or a camera
  legodnn serve stores/mymodel                         serve it to other programs over HTTP
  legodnn service install stores/mymodel               have systemd serve it from every start on

A model that is a .tflite file becomes a store as it is:

  legodnn pack face.tflite --accuracy .9 --out stores/face

  legodnn compress mymodel.keras --target macs=0.5 --out small.tflite   one smaller model, no store
  legodnn doctor                                       what this device has, and what is missing

`legodnn COMMAND --help` explains a command and its flags.\
"""


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    # Imported here, where Ctrl-C is expected: it takes the better part of a second.
    from legodnn.commands import build, compress, demo, doctor, inspect, pack, plan, profile, run, serve, service
    from legodnn.commands.parser import CommandParser

    main_parser = CommandParser(
        prog="legodnn",
        description="Run several vision DNNs at once under memory and latency budgets that keep changing.",
        epilog="start with: legodnn demo",
    )
    main_parser.add_argument("--version", action="version", version=f"legodnn {__version__}")
    main_parser.set_defaults(run=_say_what_is_next)
    subparsers = main_parser.add_subparsers(metavar="COMMAND")
    for command in (demo, build, compress, pack, inspect, profile, plan, run, serve, service, doctor):
        command.add_parser(subparsers)
    return main_parser


def _say_what_is_next(_: argparse.Namespace) -> int:
    say(_NEXT)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, and return the exit status."""
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    args = argparse.Namespace()
    try:
        with _ended_by_signals(), notes_shown(debug):
            args = command_line().parse_args(argv)
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
        return _told(f"\nlegodnn: {what}; {told}", 128 + number) if told else 128 + number
    except BrokenPipeError:  # the reader of stdout, such as head or less, has ended: so does this, quietly
        _drop_output()
        return 1
    except OSError as e:  # the disk behind stdout is full, say
        if debug:
            raise
        _drop_output()
        where = f"{e.filename}: " if e.filename else ""
        return _told(f"legodnn: {where}{e.strerror or e}", 1)


def _told(message: str, status: int) -> int:
    """Say on stderr why the command ends, and return the status; an stderr that cannot be written is left alone."""
    try:
        if sys.stderr is not None:
            print(printable(message), file=sys.stderr)
    except OSError:
        _drop_output()
    return status


def _drop_output() -> None:
    """Point stdout and stderr at /dev/null if they cannot be written, since Python flushes them when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(null, stream.fileno())
    os.close(null)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, unless they are ignored or have a handler already."""

    def end(number: int, _: object) -> NoReturn:
        raise _Ended(number)

    taken = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        try:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, end)
                taken.append(number)
        except ValueError:  # only the main thread may set handlers
            break
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
