"""What benchmarks/tasks.py counts is what listing all compositions finds."""

from __future__ import annotations

import itertools
from typing import Any

import keras
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks import zoo
from tests.benchmarks.scripts import load


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=1, max_size=4), min_size=1, max_size=5))
def test_different_sums_are_counted(options: list[list[int]]) -> None:
    benchmark: Any = load("tasks")
    assert benchmark.distinct_sums(options) == len({sum(chosen) for chosen in itertools.product(*options)})


def test_a_network_offers_more_sizes_by_its_blocks_than_as_a_whole() -> None:
    keras.utils.set_random_seed(0)
    row = load("tasks").count(zoo.gpnd(1 / 8), [0.5, 0.9])
    assert row["compositions"] == 3 ** row["blocks"]
    assert row["whole_model_sizes"] == 3 < row["sizes"] <= row["compositions"]
    assert row["least_macs"] < 0.5 * row["macs"]
