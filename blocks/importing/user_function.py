"""Functions of the user's own, named `module:function`: models, data sets, metrics."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from legodnn.errors import LegoError


def user_function(name: str, error: type[LegoError], remedy: str = "write module:function") -> Callable[..., Any]:
    """The function of this name. The current folder is searched too: first for its module and what that imports, as
    Python does for scripts, and last for whatever is imported later.

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
    here = str(Path.cwd())
    known = here in sys.path
    if not known:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as e:
        raise error(f"cannot find {name!r} ({e}); {remedy}") from None
    except Exception as e:  # the user's code may raise any
        raise error(f"cannot import {module_name!r}: {_told(e)}") from e
    finally:
        if not known:  # a file that is called as a module of a library must not be taken for it
            sys.path.remove(here)
            sys.path.append(here)
    if not hasattr(module, function_name):
        raise error(f"cannot find {name!r} (module {module_name!r} has no attribute {function_name!r}); {remedy}")
    function = getattr(module, function_name)
    if not callable(function):
        raise error(f"{name!r} is no function, but {type(function).__name__}")
    return function  # type: ignore[no-any-return]


def call_user(name: str, function: Callable[..., Any], error: type[LegoError], *arguments: Any) -> Any:
    """What a function of the user's own gives.

    Args:
        name: of the function, for the message.
        function: what `user_function` found.
        error: the type to raise.
        arguments: of the function.

    Raises:
        error: the function raised something: it says what and where.
    """
    try:
        return function(*arguments)
    except LegoError:
        raise
    except Exception as e:  # the user's code may raise any
        raise error(f"{name} failed: {_told(e)}; --debug shows the traceback") from e


def _told(error: Exception) -> str:
    """An error of the user's code in a line: what, and where it was raised."""
    what = str(error).strip().partition("\n")[0]
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError):
        where = f"{error.filename}, line {error.lineno}"
    else:
        where = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__}: {what:.200} ({where})"
