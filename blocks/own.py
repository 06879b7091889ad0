"""Models and data of the user's own: what a function named `module:function` gives."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from legodnn.errors import LegoError


def call(spec: str, error: type[LegoError], remedy: str) -> Any:
    """Import the module, from the current folder too, and call the function without arguments.

    What the user's code raises beyond a missing module or name is not caught: its traceback says where.

    Args:
        spec: `module:function`.
        error: the type to raise if there is no such function.
        remedy: the end of the message: what the user can do.
    """
    module_name, _, function_name = spec.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        if not module_name or module_name.startswith("."):
            raise ImportError("a module's whole name comes before the colon")
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as e:
        reason = str(e).strip().partition("\n")[0]
        raise error(f"cannot find {spec}: {reason}; {remedy}") from None
    if not callable(function):
        raise error(f"{spec} is not a function; {remedy}")
    return function()
