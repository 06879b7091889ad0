"""Whether commands can draw: matplotlib is an extra."""

from __future__ import annotations

import importlib.util

from legodnn.errors import DependencyError


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
