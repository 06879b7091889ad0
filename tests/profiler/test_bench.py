"""A bench has every option of a store loaded, and runs any composition of them as an executor would."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from legodnn.errors import StoreError
from legodnn.profiler.bench import Bench, random_inputs
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store


def test_a_composition_of_the_bench_computes_what_the_executor_does(tiny_store: Store) -> None:
    bench, x = Bench(tiny_store, (1,)), random_inputs(tiny_store)
    executor = open_executor(tiny_store)
    for numbers in itertools.product(*(range(len(options)) for options in bench.options)):
        expected = executor.compose(bench.choices(numbers, 1)).run(x)["head"]
        np.testing.assert_array_equal(bench.composition(numbers, 1).run(x)["head"], expected)
    executor.close()
    bench.close()


def test_the_input_is_of_the_range_that_the_model_takes(tiny_store: Store) -> None:
    spec, x = tiny_store.manifest.inputs[0], random_inputs(tiny_store)["image"]
    assert x.shape == spec.shape
    assert spec.range[0] <= x.min() < x.max() <= spec.range[1]


def test_switching_goes_on_as_often_as_one_likes(tiny_store: Store) -> None:
    opened = Bench(tiny_store, (1,))
    for numbers in ((0, 0, 0), (2, 1, 0), (0, 2, 0), (2, 1, 0)):
        opened.switch_and_run(numbers, 1)
    opened.close()


def test_a_damaged_store_is_not_timed(store_copy: Path) -> None:
    store = Store(store_copy)
    (store.path / store.manifest.segments[0].options[1].file).unlink()
    with pytest.raises(StoreError, match="is missing"):
        Bench(store, (1,))
