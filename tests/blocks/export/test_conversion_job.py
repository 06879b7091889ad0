"""Conversions in a process of their own give the same files, and what ends that process costs one file."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from legodnn.blocks.export.conversion_job import CONVERSIONS, conversion_job, converted_files
from legodnn.blocks.export.convert import convert
from legodnn.blocks.jobs.local_processes import LocalProcesses
from legodnn.errors import ModelError


def test_a_crash_costs_one_file_and_the_others_are_the_same_as_here() -> None:
    rng = np.random.default_rng(0)
    words = keras.Input((6, 8))
    crashing = keras.Model(words, layers.LSTM(4, return_sequences=True)(words), name="reader")
    a, b = keras.Input((4, 4, 2)), keras.Input((4, 4, 3))
    good = keras.Model([a, b], [layers.Conv2D(3, 1)(b), layers.Conv2D(2, 3)(a)], name="good")
    strange = keras.Model(a, layers.Lambda(lambda x: keras.ops.erfinv(x))(a), name="strange")
    xs = [rng.normal(size=(16, *t.shape[1:])).astype(np.float32) for t in good.inputs]
    jobs = [
        conversion_job("good to int8", good, [2, 1], "int8", xs),
        conversion_job("reader to int8", crashing, [1], "int8", [rng.normal(size=(16, 6, 8)).astype(np.float32)]),
        conversion_job("good to float32", good, [1], "float32", xs),
        conversion_job("strange to float32", strange, [1], "float32", xs[:1]),
    ]
    with LocalProcesses().team(CONVERSIONS) as team:
        found = {job.name: outcome for job, outcome in team.run(jobs)}
    assert converted_files(found["converting good to int8"]) == [convert(good, n, "int8", xs) for n in (2, 1)]
    assert converted_files(found["converting good to float32"]) == [convert(good, 1, "float32", xs)]
    with pytest.raises(ModelError, match=r"converting reader to int8: its process ended \(SIG"):
        converted_files(found["converting reader to int8"])
    with pytest.raises(ModelError, match="strange cannot be converted to TensorFlow Lite"):
        converted_files(found["converting strange to float32"])
