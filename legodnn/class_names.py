"""Files with the name of a class on each line, in the order of the classes' numbers."""

from __future__ import annotations

from pathlib import Path

from legodnn.errors import LegoError
from legodnn.files import read_regular

_MOST_BYTES = 16 << 20
REMEDY = "give a text file with the name of a class on each line"


def read_class_names(path: Path, error: type[LegoError]) -> tuple[str, ...]:
    """Return the names of classes in a text file, which may begin with a byte order mark and end with empty lines.

    Args:
        path: the file, in UTF-8.
        error: the type to raise.

    Raises:
        error: it cannot be read, is larger than 16 MiB or no UTF-8, or has an empty line between names.
    """
    try:
        lines = read_regular(path, _MOST_BYTES, error, REMEDY).decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise error(f"{path} is not UTF-8 text; {REMEDY}") from None
    names = tuple(line.strip() for line in lines)
    if "" in names:  # without it, all classes behind would have the name of the one before
        raise error(f"{path}: line {names.index('') + 1} is empty; write a name there, such as unused")
    return names
