"""The animated picture shows what a run chose: one box a block, one value a step."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from docs.draw_moving_budget import BLOCK, PICTURE, STEPS, budgets, replayed, svg
from legodnn.store import Store

NAMES = {"svg": "http://www.w3.org/2000/svg"}


def test_budgets_fall_and_rise(tiny_store: Store, tiny_store2: Store) -> None:
    limits = budgets([tiny_store, tiny_store2])
    middle = STEPS // 2
    assert all(a >= b for a, b in pairwise(limits[: middle + 1]))
    assert all(a <= b for a, b in pairwise(limits[middle:]))
    assert limits[middle] < limits[0]


def test_the_picture_is_of_the_run(tiny_store: Store, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((2, *tiny_store.manifest.inputs[0].shape), np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    steps = replayed([tiny_store], tmp_path / "x.npz")
    assert len(steps) == STEPS
    assert all(step.refused is None for step in steps)
    drawn = ElementTree.fromstring(svg([tiny_store], steps, "a <device>"))
    boxes = [box for box in drawn.findall("svg:rect", NAMES) if box.find("svg:animate", NAMES) is not None]
    assert len(boxes) == len(tiny_store.manifest.blocks)
    for box, block in zip(boxes, tiny_store.manifest.blocks, strict=True):
        heights = next(a for a in box.findall("svg:animate", NAMES) if a.get("attributeName") == "height")
        values = (heights.get("values") or "").split(";")[:-1:2]
        left = {o.name: 1 - o.sparsity for o in block.options}
        shares = [left[step.plan.models[0].options[block.name]] for step in steps]
        assert [float(value) for value in values] == pytest.approx([BLOCK * share for share in shares], abs=0.06)


def test_the_committed_picture_is_plain_svg() -> None:
    picture = ElementTree.parse(PICTURE)
    assert {element.tag.partition("}")[2] for element in picture.iter()}.isdisjoint(
        {"script", "image", "foreignObject"}
    )
