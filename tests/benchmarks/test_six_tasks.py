"""What benchmarks/six_tasks.py predicts is what plans predict; its drawn data sets are read as builds read them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("keras")
pytest.importorskip("sklearn")

from legodnn import Budget, Runtime
from legodnn.blocks.importing.annotations.clips import read_clips
from legodnn.blocks.importing.annotations.normality import read_normality
from legodnn.blocks.importing.annotations.points import read_points
from legodnn.images import Frame
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.replay import replay
from legodnn.runtime.governing.governor import Governor
from legodnn.store import Store
from tests.benchmarks.scripts import load
from tests.runtime.opened import least_memory

FRAME = Frame((96, 96, 3))


@pytest.fixture(scope="module")
def data() -> ModuleType:
    return load("support.task_data")


def test_predictions_are_the_schedulers(tiny_store: Store) -> None:
    benchmark = load("six_tasks")
    with Runtime.open([tiny_store.path]) as runtime:
        low, high = least_memory(runtime), runtime.plan.memory_bytes
        for memory in np.linspace(low, high, 4).astype(int).tolist():
            (plan,) = runtime.scheduler.plan(Budget(memory_bytes=memory)).models
            segments = tiny_store.manifest.segments
            chosen = [s.option(plan.options.get(s.name, s.original.name)) for s in segments]
            composition = tuple(s.options.index(o) for s, o in zip(segments, chosen, strict=True))
            assert benchmark.predicted(tiny_store.manifest, composition) == pytest.approx(plan.accuracy, abs=1e-6)


def test_a_uniform_composition_has_the_next_smaller_sparsity_where_one_is_missing(tiny_store: Store) -> None:
    benchmark, manifest = load("six_tasks"), tiny_store.manifest
    last = max(manifest.blocks[0].options, key=lambda o: (o.sparsity, o.precision == "float32"))
    assert benchmark.uniform(manifest, last)[manifest.segments.index(manifest.blocks[0])] != 0
    fewer = manifest.blocks[-1].model_copy(update={"options": manifest.blocks[-1].options[:1]})
    cut = manifest.model_copy(
        update={"segments": tuple(fewer if s is manifest.blocks[-1] else s for s in manifest.segments)}
    )
    assert benchmark.uniform(cut, last)[manifest.segments.index(manifest.blocks[-1])] == 0


def test_joints_of_drawn_figures_are_inside_and_named(data: ModuleType, tmp_path: Path) -> None:
    assert data.figures(tmp_path, tmp_path / "figures", {"train": 6, "val": 3}) == f"points:{tmp_path / 'figures'}"
    names, parts = read_points(tmp_path / "figures", FRAME)
    assert names == data.POINTS
    assert {part: len(found.files) for part, found in parts.items()} == {"train": 6, "val": 3}
    assert {end for limb in data.LIMBS for end in limb} == set(range(len(names)))


def test_one_digit_is_normal_and_clips_have_all_digits_as_classes(data: ModuleType, tmp_path: Path) -> None:
    data.one_digit(tmp_path, tmp_path / "digits", {"train": 110, "val": 0, "test": 3})
    parts = read_normality(tmp_path / "digits", 0)
    assert parts["train"].labels is not None
    assert (len(parts["train"].files), parts["train"].labels.any()) == (110, False)
    assert parts["test"].labels is not None
    assert parts["test"].labels.sum() in (13, 14)  # half of three each of nine others
    data.moving_digits(tmp_path, tmp_path / "clips", {"train": 5, "val": 2, "test": 2}, frames=3)
    classes, clips = read_clips(tmp_path / "clips", 3)
    assert classes == tuple("0123456789")
    assert {part: len(found.files) for part, found in clips.items()} == {"train": 15, "val": 6, "test": 6}


def test_models_that_run_together_are_measured_as_a_replay_measures_them(tiny_store: Store, tiny_store2: Store) -> None:
    together = load("together")
    inputs = {}
    for store in (tiny_store, tiny_store2):
        x = np.random.default_rng(0).random((12, *store.manifest.inputs[0].shape), np.float32)
        inputs[store.name] = Inputs(x, np.arange(12) % 10)
    with Runtime.open([tiny_store.path, tiny_store2.path]) as runtime:
        (expected,) = replay(runtime, inputs, [Budget()])
        governor = Governor(runtime)
        specs = {name: store.manifest.specs[store.manifest.outputs[0]] for name, store in runtime.stores.items()}
        kept = {name: {spec.name: np.ones((12, *spec.shape), spec.dtype)} for name, spec in specs.items()}
        _, asked = together.step(runtime, governor, runtime.plan.budget, inputs, kept, 0.2)
        governor.close()
        stores = runtime.stores
    for name, model in ((thread.name, thread.figures(stores[thread.name])) for thread in asked):
        assert (model["inferences"], model["refused"]) == (12, 0)
        assert model["metric"] == expected.models[name].accuracy
        assert model["predicted"] == pytest.approx(expected.plan[name].accuracy)
