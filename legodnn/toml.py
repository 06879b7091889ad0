"""Reading the TOML files that people write: workloads and recipes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from legodnn.errors import LegoError
from legodnn.files import read_regular
from legodnn.schema import decode

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES_OF_TOML = 64 << 10  # people write no longer ones, and the parser is plain Python
# In one line: the parser takes time by the square of a dotted key's length, and minutes for one of 64 KiB.
MOST_DOTS = 50


def read_toml(path: Path, error: type[LegoError], remedy: str) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        error: unreadable, no regular file, too large, or not TOML.
    """
    text = decode(read_regular(path, MOST_BYTES_OF_TOML, error, remedy), path, error, remedy)
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count(".") > MOST_DOTS:
            raise error(f"{path}: line {number} has more than {MOST_DOTS} dots; divide it; {remedy}")
    try:
        document: dict[str, Any] = tomllib.loads(text)
        return document
    except RecursionError:
        raise error(f"{path} is not TOML: too many lists and tables inside one another; {remedy}") from None
    except ValueError as e:  # an integer of more than 4,300 digits too
        raise error(f"{path} is not TOML: {e}; {remedy}") from None
