"""Camera frames in YUV 4:2:0 as test vectors: the input that Pillow and `legodnn.images` make of the same planes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.images import load
from legodnn.manifest import InputSpec
from tests.vectors.vectors import Json

LAYOUTS = {"planar": 1, "interleaved": 2}


def planes_of(case: Mapping[str, Json]) -> list[NDArray[np.uint8]]:
    """The planes of brightness, Cb and Cr, whose bytes a formula gives; those of colour have half the size."""
    height, width = case["size"]
    planes = []
    for number, (h, w) in enumerate(((height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2)):
        i = np.arange(h * w, dtype=np.int64) + case["seed"] + 1000 * number
        planes.append(((i * i * 7 + i * 13 + i * 31 % 17 * 11) % 256).astype(np.uint8).reshape(h, w))
    return planes


def frame_answer(case: Mapping[str, Json]) -> Json:
    """The input that a model gets of a frame: each colour stands for four pixels; cut out, turned, then as pictures."""
    from PIL import Image

    height, width = case["size"]
    bright, *colours = planes_of(case)
    whole = [bright, *(c.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for c in colours)]
    picture = Image.merge("YCbCr", [Image.fromarray(plane) for plane in whole]).convert("RGB")
    left, top, right, bottom = case.get("crop", (0, 0, width, height))
    turned = picture.crop((left, top, right, bottom)).rotate(-case.get("turn", 0), expand=True)
    how: dict[str, Any] = {"range": tuple(case["range"]), "fit": case["fit"], "fill": 114}
    return [float(v) for v in load(turned, InputSpec(name="x", shape=tuple(case["shape"]), **how)).ravel()]


def frames() -> Json:
    """Frames of all turns, with and without a crop, in the layouts of memory that Android's devices have."""
    plain: Json = {"range": [0.0, 255.0], "fit": "stretch", "layout": "planar", "padding": 0}
    cases: list[Json] = []
    whole: tuple[Json, ...] = ({}, {"crop": [4, 2, 20, 10]}, {"crop": [3, 1, 14, 12]})
    for number, (turn, crop, layout) in enumerate(itertools.product((0, 90, 180, 270), whole, LAYOUTS)):
        case = {**plain, "size": [12, 22], "shape": [5, 4, 3], "turn": turn, **crop, "layout": layout, "seed": number}
        cases.append({**case, "padding": (0, 10)[number % 2], "name": f"turned by {turn}, {layout}, {crop}"})
    for size in ((1, 1), (3, 5), (8, 6), (31, 17)):
        case = {**plain, "size": list(size), "shape": [8, 6, 3], "turn": 90, "padding": 3, "seed": size[0]}
        cases.append({**case, "name": f"size {size}"})
    for channels, fit in itertools.product((1, 3, 4), ("stretch", "crop", "letterbox")):
        case = {**plain, "size": [12, 22], "shape": [6, 6, channels], "range": [-1.0, 1.0], "fit": fit, "turn": 270}
        cases.append({**case, "seed": channels, "name": f"{fit} to {channels} channels"})
    return {"cases": [{**case, "answer": frame_answer(case)} for case in cases]}
