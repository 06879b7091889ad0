"""What benchmarks/zoo.py measures of every family holds for a few small members, the smallest of each kind of graph."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import keras
import pytest

from tests.benchmarks.scripts import load


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load("zoo")


def check(row: dict[str, Any], least_share: float) -> None:
    assert row["composed_difference"] < 1e-4
    assert row["segments_difference"] < 1e-4
    assert row["files_rounding"] < max(1e-4, 4 * row["keras_rounding"])
    assert row["macs_in_blocks"] >= least_share
    half = row["pruned"]["0.5"]
    assert half["difference"] < 1e-4
    assert half["blocks_not_smaller"] == []
    assert half["operators_added"] == {}
    assert half["macs"] < (1 - 0.3 * least_share) * row["macs"]
    assert half["bytes"] < row["bytes"]


def test_resnet8(benchmark: ModuleType) -> None:
    row = benchmark.examine(benchmark.make("resnet8"), [0.5])
    assert row["blocks"] == 3
    check(row, 0.96)


def small(benchmark: ModuleType, name: str, **options: Any) -> keras.Model:
    """A member of keras.applications for 32x32 pixels."""
    keras.utils.set_random_seed(0)
    family = getattr(keras.applications, name)
    model = family(weights=None, input_shape=(32, 32, 3), classes=4, classifier_activation=None, **options)
    benchmark.give_statistics(model)
    return model


def test_gated_strided_inverted_residuals(benchmark: ModuleType) -> None:
    row = benchmark.examine(small(benchmark, "MobileNetV3Small", alpha=0.5), [0.5])
    assert row["blocks"] == 11
    check(row, 0.99)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "blocks"), [("unet", 9), ("detector", 11), ("autoencoder", 6), ("fcn_resnet18", 7)])
def test_skips_across_blocks_several_outputs_and_decoders(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, blocks: int
) -> None:
    monkeypatch.setattr(load("support.networks"), "SHAPE", (32, 32, 3))
    row = benchmark.examine(benchmark.make(name), [0.5])
    assert row["blocks"] == blocks
    check(row, 0.99)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0", "DenseNet121", "ConvNeXtTiny"])
def test_more_families(benchmark: ModuleType, name: str) -> None:
    check(benchmark.examine(small(benchmark, name), [0.5]), 0.95)


def test_the_list_is_complete_and_every_model_has_a_row_or_a_reason(benchmark: ModuleType) -> None:
    assert len(benchmark.APPLICATIONS) == 20
    assert {"unet", "detector", "yolov3", "fcn", "fcn_resnet18", "gpnd", "tsn", "resnet8"} <= set(benchmark.OWN)
    row = benchmark.attempt("flat", lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    assert "no block" in row["failed"]
    assert row["failed"] in benchmark.markdown({"models": [row]})
