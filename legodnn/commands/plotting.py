"""Whether commands can draw: matplotlib is an extra, and a file's name says its format."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from legodnn.errors import ConfigError, DependencyError


def check_matplotlib(what: str, extras: str = "plot") -> None:
    """Check that matplotlib is installed.

    Args:
        what: what needs it, as the message begins.
        extras: the extras of this package that bring it, as the message names them.

    Raises:
        DependencyError: it is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise DependencyError(f"{what} needs matplotlib; pip install 'legodnn[{extras}]'")


def check_plot(path: Path, what: str) -> None:
    """Check that matplotlib can draw into a file, by its name.

    Args:
        path: the file.
        what: the flag that draws, as the message begins.

    Raises:
        ConfigError: the name ends in none of .svg, .png and .pdf.
        DependencyError: matplotlib is not installed.
    """
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise ConfigError(f"{what} draws .svg, .png or .pdf, not {path.name}; name a file that ends in one of these")
    check_matplotlib(what)
