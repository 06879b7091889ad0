"""Names of classes in text files."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.class_names import read_class_names
from legodnn.errors import DataError


@pytest.mark.parametrize(
    ("content", "names"),
    [("\ufeffcat\r\n big dog \n\n", ("cat", "big dog")), ("cat", ("cat",)), ("\n", ())],
)
def test_each_line_names_a_class(tmp_path: Path, content: str, names: tuple[str, ...]) -> None:
    (tmp_path / "classes.txt").write_text(content, "utf-8")
    assert read_class_names(tmp_path / "classes.txt", DataError) == names


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"cat\n \ndog\n", "classes.txt: line 2 is empty; write a name there"), (b"\xff\xfe", "is not UTF-8 text; give")],
)
def test_what_names_no_classes_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_class_names(tmp_path / "classes.txt", DataError)
