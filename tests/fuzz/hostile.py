"""Draw hostile values, and put some of them into documents. A seed always gives the same case."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

Json = Any

# Pieces of JSON that Python's writer never writes, put into the text as they are.
RAW = ("NaN", "-Infinity", "1e999", "-1e400", "9" * 400, "-" + "9" * 4300, "9" * 4301, "1.5e-400", "01", "+1", "0x10")
RAW += (
    '"\\ud800"',
    '"\\u0000"',
    "1e5",
    "{",
    "]",
    "",
    "[" * 300 + "]" * 300,
    "[" * 100_000,
    '{"a":' * 250 + "1" + "}" * 250,
)

INTEGERS = (0, 1, -1, 2, 3, 7, 255, 1023, 1024, 1025, 4097, 65_535, 65_536, 2**31 - 1, 2**31, 2**32, 2**48, 2**48 + 1)
INTEGERS += (2**53 + 1, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64, 10**18, 10**18 + 1, 10**21, 10**22, 10**30, 10**300)
INTEGERS += (10**308, 10**309, 10**400, -(2**63), -(10**400))
FLOATS = (
    0.0,
    -0.0,
    5e-324,
    1e-320,
    1e-300,
    1e-15,
    1e-9,
    0.1,
    0.5,
    0.999999,
    1.0,
    1.5,
    99.9,
    1e6,
    1.1e6,
    1e7,
    1e9,
    1.1e9,
)
FLOATS += (1e15, 1e16, 1e21, 1.1e21, 1e150, 1e300, 1e308, 1.7e308, -1e-9, -1.0, -1e6, -1e9, -1e308)
TEXTS = (
    "",
    " ",
    "x",
    "s0",
    "a" * 200,
    "a" * 201,
    "é" * 200,
    "\U0001d54f" * 200,
    "x" * 10_000,
    "x" * 10_001,
    "x" * 1_000_000,
)
TEXTS += ("\x00", "a\x00b", "\x1b[31mred", "\x1b]0;title\x07", "a\nb", "\r", "\u202etxt", "\u2028", "\x9b2J", "\ufeff")
TEXTS += (
    "../x",
    "/etc/passwd",
    "/dev/zero",
    "/proc/self/mem",
    ".",
    "..",
    "/",
    "~",
    "a\\b",
    "C:x",
    "a" * 300,
    "%s%n{0}",
)
TEXTS += (
    "nan",
    "1e5",
    "20MB",
    "-5MB",
    "9" * 5000,
    "${HOME}",
    "module:function",
    "'; drop table",
    "<script>",
    "legodnn.store/2",
)


def value(rng: random.Random) -> Json:
    """Draw a value that does not belong where it is put."""
    kind = rng.randrange(12)
    if kind < 3:
        return rng.choice(INTEGERS)
    if kind < 6:
        return rng.choice(FLOATS) if rng.random() < 0.7 else rng.uniform(-1, 1) * 10 ** rng.randint(-30, 30)
    if kind < 9:
        return rng.choice(TEXTS)
    if kind == 9:
        return rng.choice((None, True, False))
    if kind == 10:
        return [value(rng) for _ in range(rng.choice((0, 1, 2, 3, 9)))] if rng.random() < 0.5 else _many(rng)
    return {rng.choice((*TEXTS[:12], "a", "name")): value(rng) for _ in range(rng.choice((0, 1, 2)))}


def _many(rng: random.Random) -> Json:
    """Draw a long list or mapping of small things."""
    count = rng.choice((1025, 5000, 20_000, 120_000))
    return rng.choice(([0] * count, [[]] * count, [{}] * count, ["a"] * count, {f"k{i}": i for i in range(count)}))


def places(document: Json, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the paths of everything inside a document."""
    for key, inside in document.items() if isinstance(document, dict) else enumerate(document):
        yield (*path, key)
        if isinstance(inside, dict | list):
            yield from places(inside, (*path, key))


def mutated(document: Json, rng: random.Random) -> Json:
    """Return a copy with one to three things replaced, removed, added, repeated, renamed, or overwritten by another."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        paths = list(places(document))
        if not paths:
            break
        path = rng.choice(paths)
        inside = _at(document, path[:-1])
        key, how = path[-1], rng.randrange(14)
        if how < 5:
            inside[key] = value(rng)
        elif how == 5:
            del inside[key]
        elif how == 6:
            inside[key] = copy.deepcopy(_at(document, rng.choice(paths)))
        elif how == 7 and isinstance(inside, dict):
            inside[rng.choice(TEXTS)] = inside.pop(key)
        elif how == 8 and isinstance(inside, list):
            # Copies, so that a change to one is not in all of them; and few of what is large, since writing takes time.
            times = rng.choice((1, 2, 30, 1100)) if len(str(inside[key])) < 10_000 else 1
            inside.extend(copy.deepcopy(inside[key]) for _ in range(times))
        elif isinstance(inside[key], int | float) and not isinstance(inside[key], bool) and abs(inside[key]) < 1e300:
            inside[key] = inside[key] * rng.choice((-1, 0, 2, 3, 1000, 1e-6, 1e6, 1e12, 1 + 1e-15))
        elif isinstance(inside, dict) and how < 11:
            inside[rng.choice(("more", "", "schema", "schema_", "__class__", key + "_"))] = value(rng)
    return document


def _at(document: Json, path: tuple[Any, ...]) -> Json:
    for key in path:
        document = document[key]
    return document


def to_json(document: Json, rng: random.Random) -> str:
    """Return the JSON text of a document, sometimes with a piece that no writer would write."""
    if rng.random() < 0.2 and (paths := list(places(document))):
        path = rng.choice(paths)
        document = copy.deepcopy(document)
        _at(document, path[:-1])[path[-1]] = "<raw>"
        return json.dumps(document).replace('"<raw>"', rng.choice(RAW), 1)
    return json.dumps(document, ensure_ascii=rng.random() < 0.5)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return a copy of bytes in which some were changed, removed, inserted or repeated, or the end was cut off."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(data) + 1)
        how = rng.randrange(6)
        if how == 0:
            del data[at:]
        elif how == 1:
            del data[at : at + rng.choice((1, 2, 8, 100))]
        elif how == 2:
            data[at:at] = rng.choice(
                (b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b'"', b"{", b"[" * 3000, b"\xef\xbb\xbf")
            )
        elif how == 3:
            data[at:at] = data[: rng.choice((1, 10, 1000))]
        elif at < len(data):
            data[at] = rng.choice((0, 255, 127, 128, data[at] ^ 1 << rng.randrange(8), rng.randrange(256)))
    return bytes(data)


def to_toml(document: Json, rng: random.Random) -> str:
    """Return a document as TOML, as far as TOML can express it, sometimes with a piece that no writer would write."""
    lines: list[str] = []
    tables: list[tuple[str, Json]] = []
    for key, inside in document.items():
        if isinstance(inside, dict):
            tables.append((f"[{_key(key)}]", inside))
        elif inside and isinstance(inside, list) and all(isinstance(entry, dict) for entry in inside):
            tables += [(f"[[{_key(key)}]]", entry) for entry in inside[:2000]]
        else:
            lines.append(f"{_key(key)} = {_toml(inside)}")
    for head, table in tables:
        lines.append(head)
        lines += [f"{_key(k)} = {_toml(v)}" for k, v in table.items()]
    if rng.random() < 0.2:
        raw = ("a = " + "[" * 3000, "a" + ".a" * 3000 + " = 1", "a = " + "9" * 4301, "a = inf", "= 1", "a = 1979-05-27")
        lines.insert(
            rng.randrange(len(lines) + 1), rng.choice((*raw, "[[models]]", "[budget]", 'name = "a', "\x00", "a = -nan"))
        )
    return "\n".join(lines)


def _key(key: object) -> str:
    return json.dumps(str(key))


def _toml(inside: Json) -> str:
    if isinstance(inside, bool) or inside is None:
        return str(bool(inside)).lower()
    if isinstance(inside, list):
        return "[" + ", ".join(map(_toml, inside)) + "]"
    if isinstance(inside, dict):
        return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in inside.items()) + "}"
    return json.dumps(inside) if isinstance(inside, str) else repr(inside)
