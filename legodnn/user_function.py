"""Functions of the user's own, named `module:function`. They give models, data sets and metrics."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from legodnn.errors import LegoError


def user_function(name: str, error: type[LegoError], remedy: str = "write module:function") -> Callable[..., Any]:
    """Import and return a function of the user's own.

    The current folder is searched too. While the module is imported it comes first, as for Python's scripts; for what
    is imported later it comes last, so that a file there is not taken for a library's module of the same name.

    Args:
        name: `module:function`.
        error: the type to raise.
        remedy: what the user can do, for the end of the message.

    Raises:
        error: there is no such module, or no such function in it.
    """
    module_name, colon, function_name = name.partition(":")
    if not colon or not module_name or module_name.startswith("."):
        raise error(f"cannot find {name!r}; {remedy}")
    module = user_module(module_name, error, name, remedy)
    if not hasattr(module, function_name):
        raise error(f"cannot find {name!r} (module {module_name!r} has no attribute {function_name!r}); {remedy}")
    function = getattr(module, function_name)
    if not callable(function):
        raise error(f"{name!r} is no function, but {type(function).__name__}; {remedy}")
    return function  # type: ignore[no-any-return]


def user_module(module_name: str, error: type[LegoError], name: str = "", remedy: str = "") -> ModuleType:
    """Import and return a module of the user's own, found as `user_function` says.

    Args:
        module_name: the module, as in an import statement.
        error: the type to raise.
        name: what the user called it; empty: the module's name.
        remedy: what the user can do, for the end of the message.

    Raises:
        error: there is no such module, or it cannot be imported.
    """
    here = str(Path.cwd())
    known = here in sys.path
    if not known:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as e:
        raise error(f"cannot find {(name or module_name)!r} ({e}); {remedy or 'write the name of a module'}") from None
    except Exception as e:  # the user's code may raise any
        raise error(f"cannot import {module_name!r}: {_one_line(e)}") from e
    finally:
        if not known:
            sys.path.remove(here)
            sys.path.append(here)


def call_user(name: str, function: Callable[..., Any], error: type[LegoError], *arguments: Any) -> Any:
    """Call a function of the user's own and return what it returns.

    Args:
        name: the function's name, for the message.
        function: the function that `user_function` returned.
        error: the type to raise.
        arguments: the function's arguments.

    Raises:
        error: the function raised an exception; the message says which, and where it was raised.
    """
    try:
        return function(*arguments)
    except LegoError:
        raise
    except Exception as e:  # the user's code may raise any
        raise error(f"{name} failed: {_one_line(e)}; --debug shows the traceback") from e


def _one_line(error: Exception) -> str:
    """Return an error of the user's code as one line that says what it is and where it was raised."""
    what = str(error).strip().partition("\n")[0]
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError):
        where = f"{error.filename}, line {error.lineno}"
    else:
        where = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__}: {what:.200} ({where})"
