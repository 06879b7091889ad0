"""Write the man page from the parsers of the commands; it is installed with the package, for `man legodnn`.

    python docs/write_man_page.py        # writes docs/legodnn.1; a test says when it has to be written again

It says what `--help` says, of all commands on one page.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from legodnn import __version__
from legodnn.cli import command_line

PAGE = Path(__file__).resolve().parent / "legodnn.1"


def man_page() -> str:
    """Return the page, as troff with the macros of man(7)."""
    main = command_line()
    lines = [
        f'.TH LEGODNN 1 "" "legodnn {__version__}" "User Commands"',
        ".SH NAME",
        rf"legodnn \- {_plain((main.description or '').rstrip('.'))}",
        ".SH SYNOPSIS",
        r".B legodnn",
        r"\fICOMMAND\fR [\fIOPTION\fR]...",
        ".SH OPTIONS",
        *_options(main),
        ".SH COMMANDS",
    ]
    for name, parser in _commands(main):
        lines += [f".SS {_plain(name)}", *_filled(parser.description or "")]
        lines += [*_options(parser), *_filled(parser.epilog or "")]
    return "\n".join([*lines, ".SH NOTES", *_filled(main.epilog or "")]) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command with its parser, and after it the commands that it has."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield inner.prog.removeprefix("legodnn "), inner
                yield from _commands(inner)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a tagged paragraph for every argument; --debug, which all commands take, is told once."""
    for action in parser._actions:
        if action.help is None or isinstance(action, (argparse._SubParsersAction, argparse._HelpAction)):
            continue
        if action.dest == "debug" and parser.prog != "legodnn":
            continue
        values = "|".join(map(str, action.choices)) if action.choices else action.dest
        value = "" if action.nargs == 0 else str(action.metavar or values)
        names = ", ".join(rf"\fB{_plain(flag)}\fR" for flag in action.option_strings)
        yield ".TP"
        yield " ".join(part for part in (names, rf"\fI{_plain(value)}\fR" if value else "") if part)
        yield _plain(action.help % {**vars(action), "prog": parser.prog})


def _filled(text: str) -> Iterator[str]:
    """Yield paragraphs; lines that begin with a space are commands, and stay as they are."""
    for block in re.findall(r"(?:^ .*\n?)+|(?:^[^ \n].*\n?)+", text, re.MULTILINE):
        if block.startswith(" "):
            yield from (".PP", ".nf", *(_plain(line) for line in block.rstrip().splitlines()), ".fi")
        else:
            yield from (".PP", _plain(" ".join(block.split())))


def _plain(text: str) -> str:
    r"""Return text in which troff sees no macros: backslashes, hyphens that are copied, lines that begin with a dot."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    PAGE.write_text(man_page())
