"""Measuring compositions together gives what measuring each alone gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from legodnn.blocks.accuracy.accuracy_model import measure
from legodnn.blocks.accuracy.evaluation import MeasuredComposition, evaluate
from legodnn.blocks.accuracy.option_chain import OptionChain, Stage
from legodnn.blocks.accuracy.sampling import draw_compositions, single_swaps
from legodnn.blocks.importing.data import Split
from tests.blocks.accuracy.chains import Segment, chain, chain_of, noisy
from tests.blocks.accuracy.named_metrics import r2, top1


def test_evaluated_compositions_measure_what_running_them_alone_gives(validation: Split) -> None:
    chained = chain((0.0, 0.3, 0.6))
    compositions = draw_compositions(chained.sizes, 12, seed=1)
    found = dict(evaluate(chained, compositions, validation, top1))
    assert set(found) == set(compositions)
    for composition, measured in found.items():
        outputs = [
            next(chained.walk([composition], part))[0]
            for part in np.split(validation.x, range(250, len(validation.x), 250))
        ]
        assert measured.metric == top1([np.concatenate(outputs)], validation.y)


def test_models_with_several_inputs_and_outputs_and_no_labels() -> None:
    join: Any = lambda a, b: [a + b]  # noqa: E731
    split: list[Segment] = [lambda x: [x, 2 * x], lambda x: [x, 3 * x]]
    stages = [Stage(("a", "b"), ("sum",), [join]), Stage(("sum",), ("one", "two"), split)]
    x: Any = {name: np.random.default_rng(i).normal(size=(20, 3)).astype(np.float32) for i, name in enumerate("ab")}
    swapped = OptionChain(stages, ("two", "sum"))
    found = dict(evaluate(swapped, single_swaps(swapped.sizes), Split(x, None), r2))
    assert found[0, 0] == MeasuredComposition(1.0, 0.0)
    total = x["a"] + x["b"]
    expected = float(np.square(total).mean() / (2 * total).var(axis=0).mean()) / 2
    assert found[0, 1].metric == pytest.approx(1 - expected, rel=1e-5)


def test_without_labels_top1_is_agreement_with_the_original(validation: Split) -> None:
    swapped = chain((0.0, 0.3))
    found = dict(evaluate(swapped, [(0, 0, 0, 0), (1, 1, 1, 1)], Split(validation.x, None), top1))
    assert found[0, 0, 0, 0].metric == 1
    assert 0.5 < found[1, 1, 1, 1].metric < 1


@pytest.mark.parametrize("metric", [top1, r2])
def test_an_option_that_gives_nan_loses_as_much_as_one_that_says_nothing(validation: Split, metric: Any) -> None:
    def of_every(value: float) -> Segment:
        return lambda x: [np.where(np.arange(len(x))[:, None] % 2, x, np.float32(value))]

    labels = validation.y if metric is top1 else np.asarray(validation.x)
    options = [noisy(0.0, 0), noisy(0.1, 1), of_every(np.nan), of_every(np.inf), of_every(float(validation.x.mean()))]
    _, fitted = measure(chain_of([options]), Split(validation.x, labels), "made up", 6, 0, metric)
    (_, little, nan, infinite, nothing) = fitted.losses[0]
    assert 0 < little < nan
    assert nan == pytest.approx(nothing, rel=0.05)
    assert infinite == pytest.approx(nothing, rel=0.05)
