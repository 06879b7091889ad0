"""A manifest describes a model that makes sense, within bounds; every other one is refused with where it does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from legodnn.errors import StoreError
from legodnn.manifest import STORE_VERSION, AccuracyModel, Link, interaction_problem
from legodnn.store import Store
from tests.legodnn.damaged_stores import Document, edit, option, refusal, segment


def test_the_original_of_a_segment_is_its_option_at_sparsity_0(tiny_store: Store) -> None:
    segment = tiny_store.manifest.segments[0]
    assert segment.original == segment.option("s0")
    assert [o.sparsity for o in segment.options] == [0, 0.5, 0.75]
    with pytest.raises(StoreError, match=r"segment block1 has no option 's9'; it has s0, s0.5, s0.75"):
        segment.option("s9")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("schema"), f"has schema None, this version of legodnn reads {STORE_VERSION!r}"),
        (lambda d: d.update(schema="legodnn.store/2"), "has schema 'legodnn.store/2'"),
        (lambda d: d.pop("segments"), "segments: Field required"),
        (lambda d: d.update(extra=1), "extra: unknown field"),
        (lambda d: d.update(segments=[]), "segments: "),
        (lambda d: option()(d).update(extra=1), "segments.0.options.0.extra: unknown field"),
        (lambda d: option()(d).pop("sha256"), "segments.0.options.0.sha256: Field required"),
        (lambda d: option()(d).update(sha256="0" * 63), "segments.0.options.0.sha256"),
        (lambda d: option()(d).update(sparsity=1), "segments.0.options.0.sparsity"),
        (lambda d: option()(d).update(bytes=True), "segments.0.options.0.bytes"),
        (lambda d: option()(d).update(loss=float("nan")), "NaN is no JSON number"),
        (lambda d: d["built"]["recipe"].update(x=float("inf")), "Infinity is no JSON number"),
        (lambda d: option()(d).update(name="s0.5"), "segment block1 has two options of the same name"),
        (lambda d: segment()(d)["options"].pop(0), "segment block1 lacks its original"),
        (lambda d: segment()(d).update(kind="fixed"), "fixed segment block1 has more than one option"),
        (lambda d: segment(1)(d).update(name="block1"), "two segments have the same name"),
        (lambda d: d["inputs"].append(d["inputs"][0]), "two inputs or two outputs have the same name"),
        (lambda d: d["outputs"].append("head"), "two inputs or two outputs have the same name"),
        (lambda d: segment()(d).update(inputs=["block2"]), "segment block1 reads 'block2', which no earlier segment"),
        (lambda d: segment(1)(d).update(outputs=["block1"]), "segment block2 writes 'block1' again"),
        (lambda d: d.update(outputs=["nothing"]), "no segment writes the output 'nothing'"),
        (lambda d: d["tensors"].pop(), "`tensors` must describe exactly"),
        (lambda d: d["tensors"][0].update(shape=[0]), "tensors.0.shape.0"),
        (lambda d: d["inputs"][0].update(range=[1.0, 1.0]), "image: range must be two numbers that increase"),
        (
            lambda d: d["inputs"][0].update(mean=[0.5, 0.5]),
            "image: mean has 2 values for 1 channel: give one for each, or one for all",
        ),
        (lambda d: d["inputs"][0].update(std=[0.0]), "inputs.0.std.0: must be greater than"),
        (lambda d: d["accuracy"]["link"].update(x=[0.0, 1.0]), "x and y differ in length"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    store_copy: Path, change: Callable[[Document], object], message: str
) -> None:
    edit(store_copy, change)
    assert message in refusal(store_copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: segment()(d)["options"][0].update(loss=1e7), "options.0.loss: must be less than or equal"),
        (lambda d: segment()(d)["options"][0].update(bytes=10**400), "options.0.bytes: must be less than"),
        (lambda d: segment()(d).update(options=segment()(d)["options"] * 400), "options: .* at most 1024 items"),
        (lambda d: d["tensors"][0].update(shape=[2**31 - 1] * 2), "at most 536870912 elements"),
        (lambda d: d["tensors"][0].update(shape=[1] * 9), "at most 8 items"),
        (lambda d: d["accuracy"]["link"].update(y=[1e308, -1e308]), "link.y.0: must be less than or equal"),
        (lambda d: d["accuracy"].update(link={"x": [0.0, 5e-324], "y": [1.0, 0.0]}), "x must increase, by at least"),
        (lambda d: d["built"]["recipe"].update(deep=nested(300)), "is not JSON|recursion"),
    ],
)
def test_figures_beyond_their_bounds_are_refused_with_the_bound(
    store_copy: Path, change: Callable[[Document], object], message: str
) -> None:
    edit(store_copy, change)
    assert re.search(message, refusal(store_copy))


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((0.0, 0.0), (1.0, 0.5), "x must increase"),
        ((0.0, 1.0), (0.5, 0.6), "y must not increase"),
        ((0.0, 1.0, 2.0), (1.0, 0.5), "differ in length"),
        ((0.0,), (1.0,), "at least 2"),
    ],
)
def test_a_link_falls_over_increasing_knots(x: tuple[float, ...], y: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Link(x=x, y=y)


def test_an_accuracy_model_holds_no_negative_error() -> None:
    link = Link(x=(0.0, 1.0), y=(1.0, 0.0))
    with pytest.raises(ValueError, match="error"):
        AccuracyModel(metric="top1", data="digits", original=1.0, link=link, error=-0.1, samples=3)


def test_a_manifest_tells_its_blocks_compositions_and_tensors(tiny_store: Store) -> None:
    manifest = tiny_store.manifest
    assert [s.name for s in manifest.blocks] == ["block1", "block2"]
    assert manifest.compositions == 9
    assert set(manifest.specs) == {"image", "block1", "block2", "head"}


@pytest.mark.parametrize(
    ("interaction", "before", "options", "fits"),
    [((), 3, 2, True), ([[0.0] * 2] * 3, 3, 2, True), ([[0.0] * 3] * 2, 3, 2, False), ([[0.0] * 2], 0, 2, False)],
)
def test_an_interaction_has_a_row_for_each_option_before_and_a_column_for_each_here(
    interaction: list[list[float]], before: int, options: int, fits: bool
) -> None:
    assert (interaction_problem(interaction, before, options) is None) == fits
