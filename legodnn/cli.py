"""The `legodnn` command. Each subcommand is a module in `legodnn.commands`, imported when it is named.

An error of this package (`LegoError`) is printed in a line or two and gives exit status 1; a wrong command line gives
2, Ctrl-C 130, SIGTERM 143 and SIGHUP 129. --debug shows the traceback.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

from legodnn import __version__
from legodnn.commands.parser import CommandParser
from legodnn.console import notes_shown, say
from legodnn.errors import ConfigError, DependencyError, LegoError
from legodnn.printable import printable

# Every command in the order of the help, and what it does; a module of this name in `legodnn.commands` has the rest.
_COMMANDS = {
    "demo": "see every step on real data: build two stores, profile them, and follow a trace of budgets",
    "build": "make a store: cut a model into blocks, train pruned descendants, export them",
    "compress": "make one smaller model: prune all of it to a target, fine-tune and export it",
    "pack": "make a store of .tflite files as they are",
    "inspect": "show the blocks of a store or of a model",
    "profile": "measure every option of a store on this device",
    "plan": "choose the options of every block under a budget",
    "run": "run models on inputs while budgets change",
    "bundle": "copy a workload with its stores and profiles into one folder, for an app on Android",
    "serve": "run models as a local HTTP service",
    "service": "have systemd run `legodnn serve`",
    "doctor": "show what this device has, and what is missing",
}


class _Ended(BaseException):
    """A signal asked the process to end. It unwinds the stack like KeyboardInterrupt, so that everything cleans up."""


_NEXT = """\
LegoDNN runs several vision DNNs at once under memory and latency budgets that keep changing.

To see everything work, on built-in data:

  legodnn demo --quick                             # a minute or two
  legodnn demo                                     # three to eight minutes, trains well

For a model of your own, in this order:

  legodnn build mymodel.keras --data images:photos --out stores/mymodel
                                                   # on the workstation: cut, prune, train, export
  legodnn inspect stores/mymodel                   # what the store holds
  legodnn profile stores/mymodel                   # on the device: measure every option
  legodnn plan stores/mymodel --memory 20MB        # what the scheduler would choose
  legodnn run stores/mymodel --input photos        # run it on images, a video or a camera
  legodnn serve stores/mymodel                     # serve it to other programs over HTTP
  legodnn service install stores/mymodel           # have systemd serve it from every start on
  legodnn doctor                                   # what this device has, and what is missing

A model that is a .tflite file becomes a store as it is:

  legodnn pack face.tflite --accuracy .9 --out stores/face

One smaller model without a store:

  legodnn compress mymodel.keras --data images:photos --target macs=0.5 --out small.tflite

`legodnn COMMAND --help` explains a command and its flags.\
"""


def command_line(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser of the whole command line.

    Args:
        words: what it is to parse, if that is known: then only the command that is named there has its flags, since
            most of the modules of the others take long to import. None declares the flags of all.
    """
    main_parser = CommandParser(
        prog="legodnn",
        description="Run several vision DNNs at once under memory and latency budgets that keep changing.",
        epilog="start with: legodnn demo --quick\n\n"
        "exit status: 0 if all is done; 1 after an error, where nothing fits, or where doctor finds that models cannot "
        "run; 2 for a wrong command line; 3 where service status finds that it does not run; 130, 143 and 129 after "
        "Ctrl-C, SIGTERM and SIGHUP.",
    )
    main_parser.add_argument(
        "--version", action=_Version, nargs=0, help="show the versions of legodnn and of what runs models"
    )
    main_parser.add_argument(
        "--completion",
        action=_Completion,
        choices=("bash", "zsh", "tcsh"),
        metavar="SHELL",
        help="print what completes commands and flags in bash, zsh or tcsh. Needs the `completion` extra",
    )
    main_parser.set_defaults(run=_say_what_is_next)
    subparsers = main_parser.add_subparsers(metavar="COMMAND")
    named = None if words is None else next((word for word in words if not word.startswith("-")), "")
    for name, summary in _COMMANDS.items():
        if named in (None, name):
            import_module(f"legodnn.commands.{name}").add_parser(subparsers, summary)
        else:
            subparsers.add_parser(name, help=summary)
    return main_parser


class _Version(argparse.Action):
    """--version: the package, and the executor that would run models here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from legodnn.runtime.executors.select import executor_name

        try:
            executor = executor_name()
        except (ConfigError, DependencyError) as e:
            executor = f"no executor: {e}"
        say(f"legodnn {__version__} ({executor})")
        parser.exit()


class _Completion(argparse.Action):
    """--completion: a script for the shell, with the flags of all commands."""

    def __call__(self, parser: argparse.ArgumentParser, _: object, shell: object, __: str | None = None) -> NoReturn:
        try:
            import shtab
        except ImportError:
            raise DependencyError("shtab is missing; install it: pip install 'legodnn[completion]'") from None
        print(shtab.complete(command_line(), shell=str(shell)))
        parser.exit()


def _say_what_is_next(_: argparse.Namespace) -> int:
    say(_NEXT)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, and return the exit status."""
    words = sys.argv[1:] if argv is None else argv
    debug = "--debug" in words
    args = argparse.Namespace()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: of what it cannot encode no error is made
    try:
        with _ended_by_signals(), notes_shown(debug):
            args = command_line(words).parse_args(words)
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


def _follows_signal(error: BaseException | None) -> bool:
    """Return whether what a signal raised led to an error, itself or as the ImportError that C code makes of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt | _Ended | ImportError):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, unless they are ignored or have a handler already.

    C code that is being initialised, such as NumPy's when it is imported, may turn the exception that a handler raises
    into an error of its own (ImportError); the signal is what ended the command all the same. Not so where the work
    took the signal, as searches of `legodnn compress` do, went on, and failed later: then its error is to be told.
    """
    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        if number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        raise _Ended(number)

    taken: dict[signal.Signals, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        try:
            before = signal.getsignal(number)
            if before in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, end)
                taken[number] = before
        except ValueError:  # only the main thread may set handlers
            break
    try:
        yield
    except Exception as e:
        if received and (not isinstance(e, LegoError) or _follows_signal(e)):
            raise _Ended(received[0]) from e
        raise
    finally:
        for number, before in taken.items():
            signal.signal(number, before)


if __name__ == "__main__":
    sys.exit(main())
