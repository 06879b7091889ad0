"""A split gives some of its images with their labels, in the order asked for, whatever holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from legodnn.blocks.importing.data import Dataset, Scaling, Split
from legodnn.blocks.importing.data_sources import load_data
from legodnn.errors import DataError
from legodnn.pixels import Pixels

RAW = np.random.default_rng(0).integers(0, 256, (12, 4, 5, 3)).astype(np.uint8)
IMAGES: list[Any] = [Pixels(RAW, Scaling((-1, 1))), Scaling((-1, 1))(RAW)]


@pytest.mark.parametrize("x", IMAGES, ids=["pixels", "array"])
@pytest.mark.parametrize(
    "y", [None, np.arange(12), np.arange(24).reshape(12, 2), (np.arange(12), np.arange(36).reshape(12, 3))]
)
def test_images_keep_their_labels(x: Any, y: Any) -> None:
    whole = Split(x, y)
    for rows, part in ((slice(7), whole.first(7)), ([3, 1, 8], whole.take(np.array([3, 1, 8])))):
        assert len(part) == len(range(12)[rows] if isinstance(rows, slice) else rows)
        assert type(part.x) is type(x)
        np.testing.assert_array_equal(np.asarray(part.x), IMAGES[1][rows])
        for found, labels in zip(*((v if isinstance(v, tuple) else (v,)) for v in (part.y, y)), strict=True):
            assert (found is None) == (labels is None)
            if labels is not None:
                np.testing.assert_array_equal(found, labels[rows])


def test_a_data_set_tells_the_shape_of_its_images() -> None:
    split = Split(IMAGES[0], None)
    assert Dataset("mine", (), split, split, split).image_shape == (4, 5, 3)


@pytest.mark.parametrize("x", [np.zeros((3, 5), np.float32), {"a": RAW, "b": RAW[:, 0, 0]}])
def test_data_of_other_inputs_has_no_such_shape(x: Any) -> None:
    split = Split(x, None)
    with pytest.raises(DataError, match=r"mine has inputs of shape .*, not one image \(height"):
        _ = Dataset("mine", (), split, split, split).image_shape


OWN: dict[str, tuple[Any, str]] = {
    "a pipeline": (lambda x: tf.data.Dataset.from_tensor_slices(x).batch(4), "inputs are _BatchDataset, not an array"),
    "a tensor": (tf.constant, "training inputs are EagerTensor, not an array: make a NumPy array of them, of a pipel"),
    "a list": (list, "training inputs are list, not an array"),
    "several, not by name": (lambda x: (x, x), "training inputs are tuple, .*; several inputs are a dict of arrays"),
    "several lists": (lambda x: {"a": list(x), "b": x}, "training inputs are list, not an array"),
    "masked": (lambda x: np.ma.masked_array(x, x > 0.5), "training inputs are MaskedArray, not an array"),
}


@pytest.mark.parametrize("name", OWN)
def test_inputs_of_ones_own_that_are_no_arrays_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, message = OWN[name]
    part = Split(make(RAW.astype(np.float32)), None)
    monkeypatch.setattr(
        "tests.blocks.importing.pictures_of_mine", lambda: Dataset("own", (), part, part, part), raising=False
    )
    with pytest.raises(DataError, match=message):
        load_data("tests.blocks.importing:pictures_of_mine")


def test_a_part_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    part: Any = Split(np.tile(IMAGES[1], (2, 1, 1, 1)), None)
    own = Dataset("own", (), part, part, None)  # type: ignore[arg-type]
    monkeypatch.setattr("tests.blocks.importing.pictures_of_mine", lambda: own, raising=False)
    with pytest.raises(DataError, match=r"the test part is NoneType, not a legodnn.blocks.importing.data.Split"):
        load_data("tests.blocks.importing:pictures_of_mine")
