"""Arrays that a function of the user's own returns, where a command takes data: `module:function`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import is_masked
from legodnn.console import results_alone
from legodnn.errors import InputError
from legodnn.user_function import call_user, user_function


def names_function(source: str) -> bool:
    """Return whether a source of data is `module:function`, and neither a file nor a camera."""
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", source) is not None and not Path(source).exists()


def own_arrays(source: str) -> dict[str, NDArray[Any]]:
    """Call a function, without arguments, and return its arrays by name: `x` or the inputs' names, and perhaps `y`.

    Raises:
        InputError: there is no such function, it failed, or it gave something else.
    """
    with results_alone():
        function = user_function(source, InputError, "write module:function, or the path of a file")
        found = call_user(source, function, InputError)
    if not isinstance(found, Mapping) or not all(isinstance(v, np.ndarray) for v in found.values()):
        raise InputError(
            f"{source} gave {type(found).__name__}, not a dict of arrays by name: x (or inputs) and maybe y"
        )
    if masked := next((name for name, array in found.items() if is_masked(array)), None):
        raise InputError(f"{source} gave a masked array as {masked!r}; fill what is masked: x.filled(value)")
    return {str(name): array for name, array in found.items()}
