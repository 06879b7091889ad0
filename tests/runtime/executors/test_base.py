"""Both executors keep the contract: they compose any options, give the same results, and refuse what is wrong.

Covers also: runtime.executors.capi_executor, runtime.executors.linked_model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.errors import LegoError, StoreError, WorkloadError
from legodnn.files import sha256_bytes
from legodnn.lifetime import Lifetime
from legodnn.runtime.executors.base import MOST_THREADS, Choice, ComposedModel, covering_compositions
from legodnn.runtime.executors.capi_executor import CApiExecutor
from legodnn.runtime.executors.interpreter import InterpreterExecutor, open_interpreter
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store

KINDS = ("capi", "interpreter")


@pytest.fixture(scope="module", params=KINDS)
def executor(request: pytest.FixtureRequest, tiny_store: Store) -> Any:
    opened = open_executor(tiny_store, request.param)
    assert isinstance(opened, {"capi": CApiExecutor, "interpreter": InterpreterExecutor}[request.param])
    yield opened
    opened.close()


def image(seed: int = 0) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).uniform(size=(12, 12, 1)).astype(np.float32)}


def chosen(store: Store, *options: str, threads: int = 1) -> tuple[Choice, ...]:
    names = (*options, "s0")
    return tuple(Choice(s.name, o, threads) for s, o in zip(store.manifest.segments, names, strict=True))


def by_hand(store: Store, choices: tuple[Choice, ...], inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Each segment's file in an Interpreter, one after another."""
    (value,) = (x[np.newaxis] for x in inputs.values())
    for segment, choice in zip(store.manifest.segments, choices, strict=True):
        interpreter = open_interpreter(model_path=str(store.path / segment.option(choice.option).file))
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
        interpreter.invoke()
        value = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return value[0]


option = st.sampled_from(["s0", "s0.5", "s0.75"])


@given(option, option, st.integers(1, 2), st.integers(0, 99))
def test_any_composition_gives_what_its_files_give_one_by_one(
    executor: Any, tiny_store: Store, first: str, second: str, threads: int, seed: int
) -> None:
    choices = chosen(tiny_store, first, second, threads=threads)
    composition = executor.compose(choices)
    executor.retain(choices)
    inputs = image(seed)
    copy = inputs["image"].copy()
    outputs = composition.run(inputs)
    assert list(outputs) == ["head"]
    np.testing.assert_allclose(outputs["head"], by_hand(tiny_store, choices, inputs), atol=1e-5)
    np.testing.assert_array_equal(inputs["image"], copy)


def test_results_outlive_the_next_run(executor: Any, tiny_store: Store) -> None:
    composition = executor.compose(chosen(tiny_store, "s0", "s0"))
    one = composition.run(image(1))["head"]
    kept = one.copy()
    two = composition.run(image(2))["head"]
    np.testing.assert_array_equal(one, kept)
    assert np.abs(two - kept).max() > 0


def test_an_earlier_composition_runs_on_until_it_is_not_retained(executor: Any, tiny_store: Store) -> None:
    choices = chosen(tiny_store, "s0", "s0")
    first = executor.compose(choices)
    executor.retain(choices)
    expected = first.run(image())["head"]
    second = executor.compose(chosen(tiny_store, "s0.75", "s0.5", threads=2))
    np.testing.assert_array_equal(first.run(image())["head"], expected)
    assert np.abs(second.run(image())["head"] - expected).max() > 1e-4
    executor.retain(chosen(tiny_store, "s0.75", "s0.5", threads=2))
    np.testing.assert_array_equal(executor.compose(choices).run(image())["head"], expected)


def test_the_interpreter_loads_what_is_new_and_keeps_what_stays(tiny_store: Store) -> None:
    executor = InterpreterExecutor(tiny_store)
    before, after = chosen(tiny_store, "s0", "s0"), chosen(tiny_store, "s0", "s0.5")
    assert executor.to_load(before) == before
    old = executor.compose(before)
    assert executor.to_load(after) == (Choice("block2", "s0.5", 1),)
    new = executor.compose(after)
    assert [a is b for a, b in zip(old.steps, new.steps, strict=True)] == [True, False, True]
    executor.retain(after)
    assert executor.to_load(before) == (Choice("block2", "s0", 1),)


@pytest.mark.capi
def test_both_executors_give_the_same_bits(tiny_store2: Store) -> None:
    one, other = (open_executor(tiny_store2, kind) for kind in KINDS)
    x = {i.name: np.random.default_rng(3).random(i.shape, np.float32) for i in tiny_store2.manifest.inputs}
    for choices in covering_compositions(tiny_store2):
        for name, value in one.compose(choices).run(x).items():
            np.testing.assert_array_equal(value, other.compose(choices).run(x)[name])


def test_an_option_that_is_not_in_the_store_is_refused(executor: Any, tiny_store: Store) -> None:
    with pytest.raises(StoreError, match=r"segment block2 has no option 's0\.9'"):
        executor.compose(chosen(tiny_store, "s0", "s0.9"))


def forged(folder: Path, content: bytes) -> Store:
    """The store with other content for an option of block2, and a manifest that says so."""
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = next(o for s in manifest["segments"] if s["name"] == "block2" for o in s["options"] if o["name"] == "s0.5")
    (folder / entry["file"]).write_bytes(content)
    entry["bytes"], entry["sha256"] = len(content), sha256_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Store(folder)


def use(store: Store, kind: str) -> ComposedModel:
    return open_executor(store, kind).compose(chosen(store, "s0", "s0.5"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"hello", b"\0" * 4096, None])
def test_a_store_whose_file_is_no_model_is_refused(store_copy: Path, kind: str, content: bytes | None) -> None:
    """Neither a file that the manifest was forged to match crashes the process, nor one that was cut short."""
    whole = (store_copy / "block2" / "s0.5.tflite").read_bytes()
    with pytest.raises(LegoError):
        use(forged(store_copy, whole[: len(whole) // 2] if content is None else content), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_segment_is_refused(store_copy: Path, kind: str) -> None:
    other = (store_copy / "block1" / "s0.5.tflite").read_bytes()
    with pytest.raises(
        StoreError, match=r"s0\.5\.tflite .* it has tensors .* where the manifest says .*; build the store again"
    ):
        use(forged(store_copy, other), kind)


@pytest.mark.parametrize(
    "threads", [(0, 0, 0), (1, 2, 1), (MOST_THREADS + 1,) * 3, (True, True, True), (1.0, 1.0, 1.0)]
)
def test_threads_that_make_no_sense_are_refused(executor: Any, tiny_store: Store, threads: tuple[int, ...]) -> None:
    choices = [Choice(c.segment, c.option, n) for c, n in zip(chosen(tiny_store, "s0", "s0"), threads, strict=True)]
    with pytest.raises(
        WorkloadError, match=f"all segments of 'tiny' run on one number of threads, 1 to {MOST_THREADS}"
    ):
        executor.compose(tuple(choices))


def test_choices_that_are_no_composition_are_refused(executor: Any, tiny_store: Store) -> None:
    whole = chosen(tiny_store, "s0", "s0")
    for choices in ((), whole[:2], whole[::-1], (*whole, whole[0]), ("s0", "s0", "s0")):
        with pytest.raises(WorkloadError, match="a composition of 'tiny' is one choice for each of block1, block2, "):
            executor.compose(choices)


def test_an_output_of_a_single_number_is_an_array_too() -> None:
    composed = ComposedModel((), [], {"count": np.array([3], np.int32)}, ("count",), Lifetime("it"))
    count = composed.run({})["count"]
    assert isinstance(count, np.ndarray)
    assert (count.shape, count.dtype, int(count)) == ((), np.int32, 3)
    composed.put({"count": np.array(4, np.int32)})
    assert int(composed.run({})["count"]) == 4
