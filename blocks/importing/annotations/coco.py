"""Boxes of COCO's JSON files: one `.json` beside the images that it names.

It lies in the whole folder, or there is one in each of train, val and test. Classes are the categories in the order of
their ids. Annotations of crowds are left out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from legodnn.blocks.importing.annotations.boxes import TrueBox, boxes_part
from legodnn.blocks.importing.annotations.parts import AnnotatedPart, named_picture, part_folders
from legodnn.errors import DataError
from legodnn.images import Frame

log = logging.getLogger("legodnn.blocks")

_MOST_SIDE = 1e9  # pixels; JSON has numbers that no float can hold


def read_coco(root: Path, frame: Frame) -> tuple[tuple[str, ...], dict[str, AnnotatedPart]]:
    """Return the names of the classes, in their order, and each part with boxes.

    Args:
        root: the folder.
        frame: what pictures are brought to.

    Raises:
        DataError: a file is missing or is none of COCO's, or a box does not fit its picture; with file and annotation.
    """
    documents = coco_documents(root)
    names: dict[int, str] = {}
    for file, document in documents.values():
        for category in document["categories"]:
            if names.setdefault(category["id"], category["name"]) != category["name"]:
                raise DataError(
                    f"{file}: category {category['id']} is {category['name']}, and {names[category['id']]} elsewhere; "
                    "give a number one name in all parts"
                )
    classes = tuple(names[number] for number in sorted(names))
    if len(set(classes)) < len(classes):
        raise DataError(f"{root}: two categories have the same name; give one of them another, or one number to both")
    return classes, {
        part: boxes_part(_boxes(file, document, names), classes, frame) for part, (file, document) in documents.items()
    }


def coco_documents(root: Path) -> dict[str, tuple[Path, Mapping[str, Any]]]:
    """Return by part the JSON file and its content; DataError if one is missing or is none of COCO's."""
    return {part: _document(folder) for part, folder in part_folders(root).items()}


def _document(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    """Return the one JSON file of a folder, and what of its content is needed, checked."""
    files = sorted(folder.glob("*.json"))
    if len(files) != 1:
        raise DataError(f"{folder} holds {len(files)} .json files; it must hold the one of its images")
    try:
        document = json.loads(files[0].read_bytes())
    except OSError as e:
        raise DataError(f"cannot read {files[0]}: {e.strerror or e}") from None
    except (ValueError, RecursionError) as e:
        raise DataError(f"{files[0]} is no JSON: {e}") from None
    wanted: dict[str, dict[str, type | tuple[type, ...]]] = {
        "categories": {"id": int, "name": str},
        "images": {"id": int, "file_name": str},
        "annotations": {"image_id": int, "category_id": int, "bbox": list},
    }
    for part, fields in wanted.items():
        entries = document.get(part) if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"{files[0]} has no list {part}, as COCO's files have")
        for number, entry in enumerate(entries):
            for field, kind in fields.items():
                if not isinstance(entry, dict) or not isinstance(entry.get(field), kind):
                    raise DataError(f"{files[0]}: {part}[{number}] has no {field}, or one of another type")
    return files[0], document


def coco_pictures(file: Path, document: Mapping[str, Any]) -> dict[int, Path]:
    """Return the picture of each id; DataError if one is not beside the file, or two have one id."""
    pictures: dict[int, Path] = {}
    for number, image in enumerate(document["images"]):
        where = f"{file}: images[{number}]"
        picture = named_picture(file.parent, image["file_name"], where)
        if (first := pictures.setdefault(image["id"], picture)) != picture:
            raise DataError(
                f"{where} has the id {image['id']} of {first.name}: give each picture an id of its own, also in its "
                "annotations"
            )
    return pictures


class CocoObject(NamedTuple):
    """An annotated object.

    Attributes:
        sides: left, top, right and bottom of its box, in pixels of the picture.
        picture: the image file.
        entry: its annotation.
        where: the file and the annotation's number.
    """

    sides: tuple[float, float, float, float]
    picture: Path
    entry: Mapping[str, Any]
    where: str


def coco_objects(
    file: Path, document: Mapping[str, Any], pictures: Mapping[int, Path], categories: Container[int]
) -> Iterator[CocoObject]:
    """Yield the annotated objects of a document, in its order, without crowds; DataError if one fits no picture."""
    crowds = 0
    for number, entry in enumerate(document["annotations"]):
        where = f"{file}: annotations[{number}]"
        if entry.get("iscrowd"):
            crowds += 1
            continue
        if entry["image_id"] not in pictures or entry["category_id"] not in categories:
            raise DataError(f"{where} is of an image or a category that the file does not have; remove it or add that")
        sides = entry["bbox"]
        if len(sides) != 4 or not all(isinstance(side, int | float) and abs(side) < _MOST_SIDE for side in sides):
            raise DataError(f"{where}: bbox is x, y, width and height, not {sides!r:.60}")
        x, y, width, height = sides
        yield CocoObject((x, y, x + width, y + height), pictures[entry["image_id"]], entry, where)
    if crowds:
        log.warning("%s: %d of its annotations are of crowds and left out", file, crowds)


def _boxes(file: Path, document: Mapping[str, Any], names: Mapping[int, str]) -> dict[Path, list[TrueBox]]:
    """Return the boxes of each picture, those without any included."""
    pictures = coco_pictures(file, document)
    boxes: dict[Path, list[TrueBox]] = {path: [] for path in pictures.values()}
    for found in coco_objects(file, document, pictures, names):
        boxes[found.picture].append(TrueBox(found.sides, names[found.entry["category_id"]], found.where))
    return boxes
