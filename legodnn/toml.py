"""Reading the TOML files that people write: workloads and recipes. What is in them is checked elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from legodnn.errors import LegoError
from legodnn.files import read_regular
from legodnn.schema import utf8_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES_OF_TOML = 64 << 10  # people write no longer files, and the parser is plain Python
# The most dots in one line: the parser's time grows with the square of a dotted key's length, to minutes for 64 KiB.
MOST_DOTS = 50


def read_toml(path: Path, error: type[LegoError], remedy: str) -> dict[str, Any]:
    """Return the content of a TOML file.

    Args:
        path: the file.
        error: the type of error to raise.
        remedy: the end of its message, which says what the user can do.

    Raises:
        error: the file is unreadable, no regular file, too large, or not TOML.
    """
    text = utf8_text(read_regular(path, MOST_BYTES_OF_TOML, error, remedy), path, error, remedy)
    text = text.removeprefix("\ufeff")  # which editors of Windows begin files with
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count(".") > MOST_DOTS and not line.lstrip().startswith("#"):
            raise error(f"{path}: line {number} has more than {MOST_DOTS} dots; divide it; {remedy}")
    try:
        document: dict[str, Any] = tomllib.loads(text)
        return document
    except RecursionError:
        raise error(f"{path} is not TOML: too many lists and tables inside one another; {remedy}") from None
    except ValueError as e:  # TOMLDecodeError, or an integer of more than 4,300 digits
        raise error(f"{path} is not TOML: {e}; {remedy}") from None
