"""A bench has every option of a store loaded, and runs any composition of them as an executor would."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from legodnn.errors import InputError, StoreError
from legodnn.profiler.bench import Bench, random_inputs
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store


def test_compositions_of_the_bench_compute_what_the_executor_does(tiny_store: Store) -> None:
    bench, x = Bench(tiny_store, (1,)), random_inputs(tiny_store)
    executor = open_executor(tiny_store)
    for numbers in itertools.product(*(range(len(options)) for options in bench.options)):
        expected = executor.compose(bench.choices(numbers, 1)).run(x)["head"]
        for composition, steps in ((bench.composed(numbers, 1).composition, 1), (bench.by_segments(numbers, 1), 3)):
            assert len(composition.steps) == steps
            np.testing.assert_array_equal(composition.run(x)["head"], expected)
    executor.close()
    bench.close()


def test_what_runs_in_use_checks_its_inputs_as_a_runtime_does(tiny_store: Store) -> None:
    bench = Bench(tiny_store, (1,))
    model = bench.composed((0, 0, 0), 1)
    model.run()
    bench.inputs["image"][:] = np.nan
    with pytest.raises(InputError, match="NaN"):
        model.run()
    bench.close()


def test_compositions_of_equal_rank_reach_from_the_first_options_to_the_last(tiny_store: Store) -> None:
    bench, rng = Bench(tiny_store, (1,)), random.Random(0)
    assert {bench.draw_rank(rng) for _ in range(50)} == {(0, 0, 0), (1, 1, 0), (2, 2, 0)}
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
