"""Functions of the user's own, named `module:function`: models, data sets, metrics."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from legodnn.errors import LegoError


def user_function(name: str, error: type[LegoError], remedy: str = "write module:function") -> Callable[..., Any]:
    """The function of this name; the current folder is searched too, as Python does for scripts.

    Args:
        name: `module:function`.
        error: the type to raise.
        remedy: the end of the message: what the user can do.

    Raises:
        error: there is no such module, or no such function in it.
    """
    module_name, colon, function_name = name.partition(":")
    if not colon or not module_name or module_name.startswith("."):
        raise error(f"cannot find {name!r}; {remedy}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as e:
        raise error(f"cannot find {name!r} ({str(e).partition(chr(10))[0]}); {remedy}") from None
    if not callable(function):
        raise error(f"{name!r} is no function, but {type(function).__name__}")
    return function  # type: ignore[no-any-return]
