"""A switch opens exactly the files that changed, and a switch that fails leaves the running composition as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import StoreError
from legodnn.plan import ModelPlan
from legodnn.runtime.switcher import Choice, choices, load, switched, to_load
from legodnn.store import Store


def plan(*options: str, threads: int = 1) -> ModelPlan:
    return ModelPlan(name="tiny", threads=threads, options=dict(zip(("block1", "block2"), options, strict=True)))


def image(seed: int = 0) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).uniform(size=(12, 12, 1)).astype(np.float32)}


def test_a_plan_gives_one_choice_for_every_segment_in_order(tiny_store: Store) -> None:
    assert choices(tiny_store, plan("s0.5", "s0", threads=2)) == (
        Choice("block1", "s0.5", 2),
        Choice("block2", "s0", 2),
        Choice("head", "s0", 2),
    )


def test_the_first_switch_loads_everything(tiny_store: Store) -> None:
    wanted = choices(tiny_store, plan("s0", "s0.5"))
    assert to_load(None, wanted) == wanted


option = st.sampled_from(["s0", "s0.5", "s0.75"])
plans = st.builds(lambda a, b, threads: plan(a, b, threads=threads), option, option, st.integers(1, 2))


@given(plans, plans)
def test_exactly_the_changed_choices_are_loaded_and_the_rest_is_shared(
    tiny_store: Store, before: ModelPlan, after: ModelPlan
) -> None:
    running = switched(tiny_store, None, choices(tiny_store, before))
    wanted = choices(tiny_store, after)
    changed = set(wanted) - set(choices(tiny_store, before))
    assert set(to_load(running, wanted)) == changed
    held = dict(running.executors)
    new = switched(tiny_store, running, wanted)
    assert tuple(new.executors) == wanted
    for choice, executor in new.executors.items():
        assert (choice in changed) == (executor not in held.values())
    assert dict(running.executors) == held
    assert to_load(new, wanted) == ()


def test_a_composition_runs_its_segments_one_after_another(tiny_store: Store) -> None:
    wanted = choices(tiny_store, plan("s0.75", "s0"))
    outputs = switched(tiny_store, None, wanted).run(image())
    tensors = {"image": image()["image"][np.newaxis]}
    for choice in wanted:
        load(tiny_store, choice).run(tensors)
    assert list(outputs) == ["head"]
    assert outputs["head"].shape == (10,)
    np.testing.assert_allclose(outputs["head"], tensors["head"][0], atol=1e-6)


def test_another_option_gives_another_result_and_switching_back_the_first(tiny_store: Store) -> None:
    original = switched(tiny_store, None, choices(tiny_store, plan("s0", "s0")))
    first = original.run(image())["head"]
    pruned = switched(tiny_store, original, choices(tiny_store, plan("s0.75", "s0")))
    assert np.abs(pruned.run(image())["head"] - first).max() > 1e-4
    back = switched(tiny_store, pruned, choices(tiny_store, plan("s0", "s0")))
    np.testing.assert_array_equal(back.run(image())["head"], first)


def test_inputs_are_not_changed_by_running(tiny_store: Store) -> None:
    inputs = image()
    copy = {name: value.copy() for name, value in inputs.items()}
    switched(tiny_store, None, choices(tiny_store, plan("s0", "s0"))).run(inputs)
    assert list(inputs) == ["image"]
    np.testing.assert_array_equal(inputs["image"], copy["image"])


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_failed_switch_leaves_the_running_composition_running(store_copy: Path, damage: str) -> None:
    store = Store(store_copy)
    running = switched(store, None, choices(store, plan("s0", "s0")))
    first, held = running.run(image())["head"], dict(running.executors)
    file = store_copy / store.manifest.segments[1].option("s0.5").file
    if damage == "altered":
        file.write_bytes(bytes(reversed(file.read_bytes())))
    else:
        file.unlink()
    with pytest.raises(StoreError, match=str(file)):
        switched(store, running, choices(store, plan("s0.75", "s0.5")))
    assert dict(running.executors) == held
    np.testing.assert_array_equal(running.run(image())["head"], first)


def test_an_option_that_is_not_in_the_store_is_refused(tiny_store: Store) -> None:
    with pytest.raises(StoreError, match=r"segment block2 has no option 's0\.9'"):
        switched(tiny_store, None, choices(tiny_store, plan("s0", "s0.9")))
