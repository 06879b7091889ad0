"""Boxes of Pascal VOC's folders: `JPEGImages`, `Annotations` with an XML file for each image, `ImageSets/Main`.

Lists of names in `ImageSets/Main` (train.txt, val.txt, test.txt) make the parts; without train.txt all annotations are
one. An object marked as difficult counts like any other.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.parsers import expat

from legodnn.blocks.importing.annotations.boxes import TrueBox, boxes_part
from legodnn.blocks.importing.annotations.parts import AnnotatedPart, files_by_name
from legodnn.errors import DataError
from legodnn.folders import image_files
from legodnn.images import Frame

_FLAG = re.compile(r"\s+(-1|0|1)$")  # lists of one class say so behind each name
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(root: Path, frame: Frame) -> tuple[tuple[str, ...], dict[str, AnnotatedPart]]:
    """Return the names of the classes, in their order, and each part with boxes.

    Args:
        root: the folder.
        frame: what pictures are brought to.

    Raises:
        DataError: a file is missing or is no annotation, two pictures are called alike but for their endings, or a box
            does not fit its picture; with file and line.
    """
    pictures = files_by_name(image_files(root / "JPEGImages", DataError), lambda file: file.stem)
    parts: dict[str, dict[Path, list[TrueBox]]] = {}
    for part, names in _names(root).items():
        parts[part] = {}
        for line, where in names:
            name = line if line in pictures else _FLAG.sub("", line)
            if name not in pictures:
                raise DataError(f"{where}: JPEGImages has no picture {name}; put it there, or remove the line")
            parts[part][pictures[name]] = _boxes(root / "Annotations" / f"{name}.xml")
    classes = tuple(sorted({box.label for part in parts.values() for boxes in part.values() for box in boxes}))
    return classes, {part: boxes_part(boxes, classes, frame) for part, boxes in parts.items()}


def _names(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the lines that name the pictures of each part, and where each of them is."""
    lists = {part: root / "ImageSets" / "Main" / f"{part}.txt" for part in ("train", "val", "test")}
    if not lists["train"].is_file():
        annotations = sorted((root / "Annotations").glob("*.xml"))
        return {"train": [(file.stem, str(file)) for file in annotations]}
    found = {}
    for part, file in lists.items():
        if file.is_file():
            lines = enumerate(file.read_text("utf-8-sig", "replace").splitlines(), start=1)
            found[part] = [(line.strip(), f"{file}, line {n}") for n, line in lines if line.strip()]
    return found


class _Objects:
    """Collects the boxes of an annotation while it is parsed, with the lines on which their objects begin."""

    def __init__(self, file: Path) -> None:
        self.boxes: list[TrueBox] = []
        self._file, self._open, self._text = file, list[str](), ""
        self._line, self._fields = 0, dict[str, str]()
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._doctype

    def _doctype(self, *_: object) -> None:
        raise DataError(f"{self._file} declares a document type, which annotations have not")

    def _start(self, tag: str, _: object) -> None:
        self._open.append(tag)
        self._text = ""
        if self._open == ["annotation", "object"]:
            self._line, self._fields = self.parser.CurrentLineNumber, {}

    def _characters(self, text: str) -> None:
        self._text += text

    def _end(self, tag: str) -> None:
        if self._open[:2] == ["annotation", "object"]:
            if self._open[2:] in (["name"], *(["bndbox", side] for side in _SIDES)):
                self._fields[tag] = self._text.strip()
            if len(self._open) == 2:
                self.boxes.append(self._box())
        self._open.pop()
        self._text = ""

    def _box(self) -> TrueBox:
        where = f"{self._file}, line {self._line}"
        if missing := [name for name in ("name", *_SIDES) if not self._fields.get(name)]:
            raise DataError(f"{where}: the object has no {missing[0]}")
        try:
            left, top, right, bottom = (float(self._fields[side]) for side in _SIDES)
        except ValueError:
            raise DataError(f"{where}: the sides of the box are not numbers") from None
        # Pixels are counted from 1, and the last ones belong to the box.
        return TrueBox((left - 1, top - 1, right, bottom), self._fields["name"], where)


def _boxes(file: Path) -> list[TrueBox]:
    objects = _Objects(file)
    try:
        objects.parser.Parse(file.read_bytes(), True)
    except OSError as e:
        raise DataError(f"cannot read {file}: {e.strerror or e}") from None
    except expat.ExpatError as e:
        raise DataError(f"{file}, line {e.lineno}: it is no XML ({expat.ErrorString(e.code)})") from None
    return objects.boxes
