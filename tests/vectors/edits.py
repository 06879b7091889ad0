"""Edits of a document's text, drawn at random: what readers of stores and profiles have to refuse or take alike."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.vectors.vectors import Json


def dumped(document: Json) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def difference(before: str, after: str) -> list[Json]:
    """One edit that turns a text into another."""
    start = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return [[start, len(before) - start - end, after[start : len(after) - end]]]


def places(document: Json, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything in a document."""
    yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*path, key))
    elif isinstance(document, list):
        for i, value in enumerate(document):
            yield from places(value, (*path, i))


def changed(document: Json, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Json:
    """A copy of a document in which `change` was made to what a path names, given its container and key."""
    copy = json.loads(json.dumps(document))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    change(inside, path[-1])
    return copy


VALUES: list[Json] = [
    None,
    True,
    0,
    1,
    -1,
    0.5,
    1.0,
    10**25,
    1e308,
    "",
    "x",
    "a" * 201,
    "é" * 200,
    [],
    [1],
    {},
    {"a": 1},
]


def mutations(document: Json, name: str, count: int) -> Iterator[tuple[str, list[Json]]]:
    """Edits of a document's text: values replaced, fields gone, added or twice, and characters damaged."""
    rng, text, paths = random.Random(name), dumped(document), [p for p in places(document) if p]
    for i in range(count):
        kind, path = (
            rng.choice(["value", "value", "gone", "more", "twice", "text", "text", "text", "byte"]),
            rng.choice(paths),
        )
        if kind == "value":
            value = rng.choice(VALUES)
            after = dumped(changed(document, path, lambda c, k, value=value: c.__setitem__(k, value)))  # type: ignore[misc]
        elif kind == "gone":
            after = dumped(changed(document, path, lambda c, k: c.__delitem__(k)))
        elif kind == "more":

            def more(container: Any, key: Any) -> None:
                if isinstance(container, dict):
                    container["more"] = 1
                else:
                    container.append(container[key])

            after = dumped(changed(document, path, more))
        elif kind == "twice":
            keys = [k for k in range(len(text)) if text.startswith('": ', k)]
            at = rng.choice(keys)
            key = text[text.rindex('"', 0, at) + 1 : at]
            after = text[: at + 3] + json.dumps(rng.choice(VALUES)) + f', "{key}": ' + text[at + 3 :]
        elif kind == "text":
            at, n = rng.randrange(len(text)), rng.choice([0, 1, 1, 2, 5])
            after = (
                text[:at]
                + rng.choice(["", "", '"', "{", "}", "[", "]", ",", ":", "0", "-", "e", "\\", " ", "é", "\x01"])
                + text[at + n :]
            )
        else:
            yield f"{name} {i} byte", [[rng.randrange(len(text)), rng.choice(["ff", "c3", "80", "00", "eda080"])]]
            continue
        yield f"{name} {i} {kind}", difference(text, after)
