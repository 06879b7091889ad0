"""A metric that cannot tell a model from useless ones, and an original that is no better, are found before training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from legodnn.blocks.accuracy.chance import Rating, check_above_chance, rate_original
from legodnn.blocks.importing.data import Split
from legodnn.errors import DataError
from tests.blocks.accuracy.named_metrics import binary_accuracy, r2, top1

N = 200
RNG = np.random.default_rng(1)
CLASS = RNG.integers(0, 4, N)
SCORES = np.eye(4, dtype=np.float32)[CLASS] + RNG.normal(0, 0.4, (N, 4)).astype(np.float32)


def of(labels: Any) -> Split:
    return Split(np.zeros((N, 2, 2, 1), np.float32), labels)


def test_a_trained_original_is_clear_of_chance() -> None:
    found = rate_original(top1, [SCORES], of(CLASS))
    assert found.original > 0.85
    assert 0.25 < found.chance < 0.45
    assert found.above_chance


@pytest.mark.parametrize(
    ("metric", "outputs", "labels"),
    [
        (top1, RNG.normal(size=(N, 4)), CLASS),
        (top1, np.tile([1.0, 0, 0, 0], (N, 1)) + 1e-3 * SCORES, CLASS),  # the same class for every image
        (top1, SCORES, np.zeros(N, np.int64)),  # labels of one class
        (r2, RNG.normal(size=(N, 1)), RNG.normal(40, 20, N)),
        (r2, 0.05 * RNG.normal(40, 20, (N, 1)), RNG.normal(40, 20, N)),
        (binary_accuracy, np.where(RNG.random((N, 1)) < 0.02, 0.6, 0.1), RNG.random(N) < 0.02),
    ],
)
def test_outputs_that_do_not_depend_on_the_image_are_at_chance(metric: Any, outputs: Any, labels: Any) -> None:
    assert not rate_original(metric, [np.float32(outputs)], of(labels)).above_chance


def test_numbers_on_another_scale_are_no_better_than_a_constant() -> None:
    age = RNG.normal(40, 20, N)
    assert not rate_original(r2, [np.float32(age[:, None] + 300)], of(age)).above_chance
    assert rate_original(r2, [np.float32(age[:, None] + RNG.normal(0, 5, (N, 1)))], of(age)).above_chance


def test_without_labels_outputs_agree_with_themselves_unless_they_are_all_the_same() -> None:
    assert rate_original(top1, [SCORES], of(None)) == Rating(1.0, pytest.approx(0.35, abs=0.15))  # type: ignore[arg-type]
    same = np.tile([1.0, 0, 0, 0], (N, 1)).astype(np.float32) + 1e-3 * SCORES
    assert not rate_original(top1, [same], of(None)).above_chance


@pytest.mark.parametrize("labels", [CLASS % 2, None])
def test_a_metric_that_is_the_same_whatever_the_outputs_are_is_refused(labels: Any) -> None:
    outputs = RNG.random((N, 1)).astype(np.float32)
    with pytest.raises(DataError, match=r"metric top1 is .* whatever the outputs are: .*; name another one .*--metric"):
        rate_original(top1, [outputs], of(labels))


def test_a_metric_that_is_no_number_for_some_outputs_is_refused() -> None:
    def ratio(outputs: Any, labels: Any) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.float64(outputs[0].std(axis=0).sum() > 1e-3) / (outputs[0].std(axis=0).sum() > 1e-3))

    with pytest.raises(
        DataError, match=r"metric ratio gave nan, not a number of at most 1e.09; it must give one for any outputs"
    ):
        rate_original(ratio, [SCORES], of(CLASS))


def test_an_original_at_chance_level_stops_the_build_unless_that_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    bad = Rating(0.098, 0.131)
    with pytest.raises(DataError, match=r"net itself is at chance level: its top1 is 0.098 on mine, .* reach 0.131; "):
        check_above_chance(bad, "top1", "net", "mine", allow_chance=False)
    caplog.set_level("INFO", logger="legodnn.blocks")
    check_above_chance(bad, "top1", "net", "mine", allow_chance=True)
    check_above_chance(Rating(0.9, 0.131), "top1", "net", "mine", allow_chance=False)
    warning, note = caplog.records
    assert warning.levelname == "WARNING"
    assert warning.getMessage().startswith("net itself is at chance level: its top1 is 0.098")
    assert (note.levelname, note.getMessage()) == ("INFO", "net: top1 0.900 on mine; without looking 0.131")
