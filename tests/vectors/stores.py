"""The stores to read: sound ones, and ones with damage that is drawn at random or written by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from tests.vectors import vectors
from tests.vectors.edits import changed, difference, dumped, mutations
from tests.vectors.vectors import Json


def store_option(segment: str, name: str, sparsity: float, precision: str, loss: float) -> Json:
    file = f"{segment}/{name}.tflite"
    content = vectors.file_content(file)
    return {
        "name": name,
        "sparsity": sparsity,
        "precision": precision,
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "params": 100,
        "macs": 2000,
        "loss": loss,
        "dominated": False,
    }


def manifest_of(tensors: list[tuple[str, list[int]]], segments: list[tuple[str, str, list[str], list[str]]]) -> Json:
    """A manifest of one image input called x."""
    return {
        "schema": "legodnn.store/1",
        "model": {"name": "tiny", "task": "classification", "labels": ["zero", "ünø", "二"]},
        "inputs": [
            {
                "name": "x",
                "shape": [4, 4, 3],
                "dtype": "float32",
                "layout": "HWC",
                "range": [0.0, 1.0],
                "mean": [0.5, 0.5, 0.5],
                "std": [0.25, 0.25, 0.25],
            }
        ],
        "outputs": [segments[-1][3][-1]],
        "tensors": [{"name": name, "shape": shape, "dtype": "float32"} for name, shape in tensors],
        "segments": [
            {
                "name": name,
                "kind": kind,
                "inputs": reads,
                "outputs": writes,
                "options": [
                    store_option(name, *o)
                    for o in (
                        [("s0", 0.0, "float32", 0.0), ("s0.5", 0.5, "float32", 0.01), ("s0-int8", 0.0, "int8", 0.002)]
                        if kind == "block"
                        else [("s0", 0.0, "float32", 0.0)]
                    )
                ],
            }
            for name, kind, reads, writes in segments
        ],
        "accuracy": {
            "metric": "top1",
            "data": "digits",
            "original": 0.97,
            "link": {"x": [0.0, 0.5, 1.0], "y": [0.97, 0.5, 0.1]},
            "error": 0.01,
            "samples": 24,
        },
        "built": {
            "created": "2026-01-01T00:00:00+00:00",
            "versions": {"keras": "3.15"},
            "seed": 0,
            "recipe": {"model": "tiny", "sparsities": [0.5], "nothing": None, "deep": {"a": [1, {"b": True}]}},
        },
    }


CHAIN = manifest_of(
    [("t1", [2, 2, 4]), ("t2", [8]), ("y", [10])],
    [("block1", "block", ["x"], ["t1"]), ("block2", "block", ["t1"], ["t2"]), ("head", "fixed", ["t2"], ["y"])],
)
CHAIN["segments"][1]["interaction"] = [[0.0, 0.0, 0.0], [0.0, -0.004, 0.001], [0.0, 0.02, 0.0015]]
GRAPH = manifest_of(
    [("a", [4, 4, 2]), ("b", [2, 2, 2]), ("c", [4, 4, 2]), ("y", [])],
    [
        ("stem", "fixed", ["x"], ["a"]),
        ("down", "block", ["a"], ["b"]),
        ("up", "block", ["b", "a"], ["c"]),
        ("head", "fixed", ["c", "x"], ["y"]),
    ],
)


def chosen_edits(document: Json) -> Iterator[tuple[str, str]]:
    """Hand-written damage to a text: (name, text after)."""
    text = dumped(document)

    def put(*path: Any, value: Json) -> str:
        return dumped(changed(document, path, lambda c, k: c.__setitem__(k, value)))

    yield "as it is", text
    yield "empty", ""
    yield "byte order mark", "\ufeff" + text
    yield "text after it", text + "{}"
    yield "white space around it", " \n\t\r" + text + " \n\n"
    yield "another kind of white space", text + "\f"
    yield "a comment", text.replace("{", "{ /* */", 1)
    yield "single quotes", text.replace('"', "'")
    yield "half of it", text[: len(text) // 2]
    yield "a list", "[" + text + "]"
    yield "an escaped key", text.replace('"model"', '"\\u006dodel"', 1)
    for constant in (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "0x10",
        "1_0",
        "--1",
        "1e5",
        "-0",
    ):
        yield f"loss {constant}", text.replace('"loss": 0.0', f'"loss": {constant}', 1)
        yield f"params {constant}", text.replace('"params": 100', f'"params": {constant}', 1)
        yield f"in the recipe {constant}", text.replace('"nothing": null', f'"nothing": {constant}', 1)
    for escape in (
        "\\ud800",
        "\\udc00",
        "\\ud83d\\ude00",
        "\\ud83d\\ud83d",
        "\\u12",
        "\\x41",
        "\\/",
        "\\u0000",
        "\t",
        "\x00",
        "\x7f",
    ):
        yield f"a label {escape!a}", text.replace("zero", escape, 1)
        yield f"in the recipe {escape!a}", text.replace('"nothing"', f'"{escape}"', 1)
    for depth in (150, 190, 196, 197, 198, 199, 200, 201, 500, 5000):
        yield f"lists {depth} deep", text.replace('"nothing": null', '"nothing": ' + "[" * depth + "]" * depth, 1)
        yield (
            f"lists {depth} deep around one",
            text.replace('"nothing": null', '"nothing": ' + "[" * depth + "1" + "]" * depth, 1),
        )
        yield (
            f"objects {depth} deep",
            text.replace('"nothing": null', '"nothing": ' + '{"a":' * depth + "1" + "}" * depth, 1),
        )
    for digits in (19, 20, 400, 4300, 4301):
        for what in ('"params": ', '"seed": ', '"nothing": '):
            old = {'"params": ': "100", '"seed": ': "0", '"nothing": ': "null"}[what]
            yield f"{what} of {digits} digits", text.replace(what + old, what + "9" * digits, 1)
    for version in ("legodnn.store/2", "legodnn.plan/1", "", None, 1):
        yield f"schema {version}", put("schema", value=version)
    yield "schema by another name", text.replace('"schema"', '"schema_"', 1)
    yield "schema twice, right at last", text.replace('"schema"', '"schema": 5, "schema"', 1)
    yield (
        "schema twice, wrong at last",
        text.replace('"schema": "legodnn.store/1"', '"schema": "legodnn.store/1", "schema": 5', 1),
    )
    yield "a version twice, wrong at first", text.replace('"keras": ', '"keras": 5, "keras": ', 1)
    yield "recipe twice", text.replace('"recipe": ', '"recipe": 5, "recipe": ', 1)


def store_edits(document: Json) -> Iterator[tuple[str, str]]:
    """Manifests that say something wrong, and ones that say something unusual but right."""
    value: Json
    values: Json

    def put(*path: Any, value: Json) -> str:
        return dumped(changed(document, path, lambda c, k: c.__setitem__(k, value)))

    def gone(*path: Any) -> str:
        return dumped(changed(document, path, lambda c, k: c.__delitem__(k)))

    block = ("segments", 0, "options", 0)
    for key in ("precision", "loss", "dominated"):
        yield f"option without {key}", gone(*block, key)
    for key in ("dtype", "layout", "range", "mean", "std"):
        yield f"input without {key}", gone("inputs", 0, key)
    yield "no labels", gone("model", "labels")
    for value in (
        {},
        {"block1/s0": {"conv": 32}},
        {"block1/s0": {"conv": 0}},
        {"block1/s0": [1]},
        {"block1/s0": {"c": 1.5}},
        None,
    ):
        yield f"channels {value}", put("built", "channels", value=value)
    for file in (
        "../x",
        "/etc/passwd",
        "a/../../b",
        "a\\b",
        "C:x",
        "block1/./s0.tflite",
        "./block1/s0.tflite",
        "block1//s0.tflite",
        "block1/s0.tflite/",
        ".",
        "block1",
        "block1/..",
        "a\u0000b",
        "..a",
        "~/x",
        " ",
        "block1/..s0",
    ):
        yield f"file {file!a}", put(*block, "file", value=file)
    for sha in ("", "0" * 63, "0" * 64, "G" * 64, "A" * 64, "0" * 65, "0" * 64 + "\n"):
        yield f"hash {sha!a}", put(*block, "sha256", value=sha)
    yield "hash in capitals", put(*block, "sha256", value=document["segments"][0]["options"][0]["sha256"].upper())
    for value in (0, 1, -1, 30, 10**30, 1.0):
        yield f"bytes {value}", put(*block, "bytes", value=value)
    for value in (-0.0, 0, 0.999, 1, 1.0, -1e-9, 0.5):
        yield f"sparsity {value}", put(*block, "sparsity", value=value)
    for value in ("float16", "int8", "int4", "FLOAT32", None):
        yield f"precision {value}", put(*block, "precision", value=value)
    for shape in ([], [0], [-1], [1.0], [10**20], [2, "3"], 5, [True]):
        yield f"shape {shape}", put("tensors", 0, "shape", value=shape)
        yield f"input shape {shape}", put("inputs", 0, "shape", value=shape)
    for span in ([0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0, 255], [0.0], [0.0, 1.0, 2.0], [-1e308, 1e308]):
        yield f"range {span}", put("inputs", 0, "range", value=span)
    for values in ([], [1.0], [1.0, 2.0, 3.0], [1, 2, 0], [1, 2, -3.0], [1, 2, 3, 4]):
        yield f"mean {values}", put("inputs", 0, "mean", value=values)
        yield f"std {values}", put("inputs", 0, "std", value=values)
    for value in ("bilinear-antialias", "bilinear", "", None):
        yield f"resize {value}", put("inputs", 0, "resize", value=value)
    for field, values in (
        ("layout", ("HWC", "plain", "CHW", None)),
        ("fit", ("stretch", "crop", "letterbox", "none", 1)),
        ("fill", (0, 255, 256, -1, 1.5, "0")),
        ("scale", (0, 0.0, 0.5, -1.0, 2e30, None)),
        ("zero_point", (0, 1, 256, -129, 0.5)),
        ("dtype", ("float32", "float16", "", None)),
    ):
        for value in values:
            yield f"{field} {value!r}", put("inputs", 0, field, value=value)
    yield "a scale of a tensor", put("tensors", 0, "scale", value=0.5)
    yield "a zero point of a tensor", put("tensors", 0, "zero_point", value=0)
    for x, y in (
        ([0.0], [1.0]),
        ([0.0, 0.0], [1.0, 0.0]),
        ([1.0, 0.0], [1.0, 0.0]),
        ([0.0, 1.0], [0.0, 1.0]),
        ([0, 1], [1, 1]),
        ([0.0, 1.0, 2.0], [1.0, 0.0]),
        ([], []),
        ([0.0, 1e308], [1e308, -1e308]),
    ):
        yield f"link {x} {y}", put("accuracy", "link", value={"x": x, "y": y})
    for what, path, values in (
        ("loss", (*block, "loss"), (1e6, 1000000.5, -1e6, -1e7)),
        ("file's bytes", (*block, "bytes"), (1 << 48, (1 << 48) + 1)),
        ("params", (*block, "params"), (10**18, 10**18 + 1)),
        ("macs", (*block, "macs"), (10**18, 10**18 + 1)),
        ("seed", ("built", "seed"), (10**18, 10**18 + 1, -(10**18), -(10**18) - 1)),
        ("original", ("accuracy", "original"), (1e9, 1.5e9, -1e9, -1e300)),
        ("error", ("accuracy", "error"), (1e9, 1.5e9)),
        ("range", ("inputs", 0, "range"), ([0.0, 1e9], [0.0, 2e9], [-1e9, 0.0], [-2e9, 0.0])),
        ("mean", ("inputs", 0, "mean"), ([1e9] * 3, [-2e9] * 3)),
        ("std", ("inputs", 0, "std"), ([1e-9] * 3, [1e-10] * 3, [1e9] * 3, [2e9] * 3)),
        ("data's length", ("accuracy", "data"), ("x" * 10_000, "x" * 10_001)),
        ("labels' length", ("model", "labels"), (["x" * 10_000], ["x" * 10_001])),
        ("rank", ("tensors", 0, "shape"), ([1] * 8, [1] * 9)),
        ("elements", ("tensors", 0, "shape"), ([1 << 29], [1 << 29, 2], [1 << 15, 1 << 14], [1 << 15, 1 << 15])),
        ("knots", ("accuracy", "link"), ({"x": [0.0, 1e-15], "y": [1.0, 0.0]}, {"x": [0.0, 9e-16], "y": [1.0, 0.0]})),
        ("link", ("accuracy", "link"), ({"x": [-1e6, 1e6], "y": [1e9, -1e9]}, {"x": [0.0, 2e6], "y": [1.0, 0.0]})),
        ("link's metric", ("accuracy", "link"), ({"x": [0.0, 1.0], "y": [2e9, 0.0]},)),
    ):
        for i, value in enumerate(values):
            yield f"the {what}, bound {i}", put(*path, value=value)
    yield "error below zero", put("accuracy", "error", value=-0.1)
    yield "samples below zero", put("accuracy", "samples", value=-1)
    yield "name of 200 characters", put("model", "name", value="\U0001d54f" * 200)
    yield "name of 201 characters", put("model", "name", value="\U0001d54f" * 201)
    yield "no name", put("model", "name", value="")
    yield "outputs twice", put("outputs", value=[document["outputs"][0]] * 2)
    yield "an output that nobody writes", put("outputs", value=["nobody"])
    yield "the input as an output", put("outputs", value=["x"])
    yield "no outputs", put("outputs", value=[])
    yield "no segments", put("segments", value=[])
    yield "segments in another order", put("segments", value=document["segments"][::-1])
    yield "a segment twice", put("segments", value=[*document["segments"], document["segments"][0]])
    yield "a segment that reads what nobody writes", put("segments", 1, "inputs", value=["nobody"])
    yield (
        "a segment that reads a tensor twice",
        put("segments", 1, "inputs", value=[document["segments"][1]["inputs"][0]] * 2),
    )
    yield "a segment that writes the input", put("segments", 0, "outputs", value=["x"])
    yield (
        "a segment that writes one tensor twice",
        put("segments", 0, "outputs", value=document["segments"][0]["outputs"] * 2),
    )
    yield "a segment that reads nothing", put("segments", 0, "inputs", value=[])
    yield "a segment without options", put("segments", 0, "options", value=[])
    yield "a tensor that is not described", put("tensors", value=document["tensors"][1:])
    yield "a tensor that is described twice", put("tensors", value=[*document["tensors"], document["tensors"][0]])
    yield (
        "a tensor described that nobody writes",
        put("tensors", value=[*document["tensors"], {"name": "z", "shape": [1]}]),
    )
    yield "the input described", put("tensors", value=[*document["tensors"], {"name": "x", "shape": [1]}])
    yield "tensors in another order", put("tensors", value=document["tensors"][::-1])
    wide = next(i for i, s in enumerate(document["segments"]) if s["kind"] == "block")
    yield "a fixed segment with options", put("segments", wide, "kind", value="fixed")
    yield "a block with one option", put("segments", -1, "kind", value="block")
    yield "another kind", put("segments", 0, "kind", value="piece")
    rows = [[0.0, 0.1, 0.2]] * 3
    for what, value in {
        "right": rows,
        "of too few rows": rows[1:],
        "of too many columns": [[*row, 0.0] for row in rows],
        "of no columns": [[], [], []],
        "of integers": [[0, 1, 2]] * 3,
        "of text": [["0"] * 3] * 3,
        "of nothing": [[None] * 3] * 3,
        "that is no list": 0.0,
        "that is null": None,
        "that is empty": [],
    }.items():
        yield f"an interaction {what}", put("segments", 2 - (document is CHAIN), "interaction", value=value)
        yield f"an interaction {what} of the first block", put("segments", wide, "interaction", value=value)
        yield f"an interaction {what} of a fixed segment", put("segments", -1, "interaction", value=value)
    yield "a fixed segment that interacts", put("segments", -1, "interaction", value=[[0.0]] * 3)
    options = document["segments"][wide]["options"]
    yield "no original", put("segments", wide, "options", value=options[1:])
    yield "options in another order", put("segments", wide, "options", value=options[::-1])
    yield "an option's name twice", put("segments", wide, "options", value=[*options, options[1]])
    yield "two originals", put("segments", wide, "options", value=[*options, {**options[0], "name": "again"}])
    for key in ("model", "inputs", "outputs", "tensors", "segments", "accuracy", "built", "schema"):
        yield f"without {key}", gone(key)


def asked() -> Json:
    """The manifests, and the stores with changes to them."""
    bases: dict[str, Any] = {}
    cases: list[Any] = []
    for name, document in (("chain", CHAIN), ("graph", GRAPH)):
        files = [o["file"] for s in document["segments"] for o in s["options"]]
        bases[name] = {"manifest": dumped(document), "files": files}
        texts = list(chosen_edits(document)) if name == "chain" else []
        for what, after in [*texts, *store_edits(document)]:
            edits = difference(bases[name]["manifest"], after)
            cases.append({"name": f"{name}: {what}", "base": name, "edits": edits if edits != [[0, 0, ""]] else []})
        for what, edits in mutations(document, name, 120):
            cases.append({"name": what, "base": name, "edits": edits})
    first = bases["chain"]["files"][0]
    damage: dict[str, Json] = {
        "missing": {first: None},
        "altered": {first: "content of block1/s9.tflite\n"},
        "longer": {first: "content\n" * 9},
        "empty": {first: ""},
        "a link out of the store": {first: ["/etc/hostname"]},
        "a link out of the store to the right content": {
            "../outside": vectors.file_content(first).decode(),
            first: ["../../outside"],
        },
        "a link to itself": {first: ["s0.tflite"]},
        "a link inside": {first: ["s0.5.tflite"]},
        "more files": {"notes.txt": "hello"},
        "a manifest in a folder": {"manifest.json.d/x": "y"},
    }
    for what, changes in damage.items():
        cases.append({"name": f"a file {what}", "base": "chain", "files": changes})
    return {"bases": bases, "cases": [{**c, "answer": vectors.store_answer(c, bases)} for c in cases]}
