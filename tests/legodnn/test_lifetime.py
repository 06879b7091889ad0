"""What is opened is released once: by closing, by dropping, by an opening that fails, and never in a forked process."""

from __future__ import annotations

import functools
import gc
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
import pytest

from legodnn import Budget, Runtime, Store
from legodnn.errors import ClosedError, ExecutionError, StoreError
from legodnn.lifetime import Lifetime, release_with
from legodnn.runtime.executors import (
    linked_model,
    litert_capi,
    tensor_pool,
    weight_cache,
)
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.isolated import IsolatedExecutor
from legodnn.runtime.executors.select import warm_up
from legodnn.runtime.governing.governor import Governor
from tests.runtime.opened import KINDS, X, calls, executor_of, open_runtime


def held(store: Store) -> tuple[list[str], list[str], int]:
    """Descriptors by what they lead to, mappings of files and of shared memory, and child processes."""
    gc.collect()
    links = []
    for fd in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(fd.readlink()))
        except OSError:  # the one that lists them
            continue
    kept = [link.partition(":[")[0] for link in links]
    paths = [line.split(None, 5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
    cache = os.environ["LEGODNN_CACHE"]
    mapped = [p.strip() for p in paths if cache in p or str(store.path) in p or "legodnn" in Path(p.strip()).name]
    return sorted(kept), sorted(mapped), len(psutil.Process().children(recursive=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["closed", "dropped", "in a cycle", "closed twice", "closed by two threads"])
def test_a_runtime_lets_go_of_everything_however_it_ends(
    kind: str, end: str, tiny_store: Store, tmp_path: Path
) -> None:
    warm_up(tiny_store, None if kind == "isolated" else kind)  # what the library itself holds as long as the process
    before = held(tiny_store)
    runtime = open_runtime(tiny_store, kind, tmp_path)
    runtime.infer("tiny", X)
    runtime.budget = Budget(memory_bytes=runtime.plan.memory_bytes)
    if kind != "interpreter":
        assert held(tiny_store) != before, "this test would show nothing"
    if end == "closed by two threads":
        threads = [threading.Thread(target=runtime.close) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    elif end.startswith("closed"):
        runtime.close()
        if end == "closed twice":
            runtime.close()
    if end.startswith("closed"):
        assert held(tiny_store) == before
    if end == "in a cycle":
        runtime.on_inference = functools.partial(print, runtime)
    del runtime
    assert held(tiny_store) == before


@pytest.mark.parametrize("kind", KINDS)
def test_closing_again_leaves_what_others_opened_meanwhile(kind: str, tiny_store: Store) -> None:
    """The second would get the descriptor and the addresses of the first."""
    first = executor_of(tiny_store, kind)
    choices = covering_compositions(tiny_store)[0]
    expected = first.compose(choices).run({"image": X})["head"]
    first.close()
    second = executor_of(tiny_store, kind)
    for _ in range(3):
        first.close()
    np.testing.assert_array_equal(second.compose(choices).run({"image": X})["head"], expected)
    second.retain(choices)
    other = second.compose(tuple(type(c)(c.segment, c.option, 2) for c in choices))  # mapped and opened anew
    np.testing.assert_allclose(other.run({"image": X})["head"], expected, atol=1e-5)
    second.close()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_can_be_done_with_what_is_closed(kind: str, tiny_store: Store, tmp_path: Path) -> None:
    executor, choices = executor_of(tiny_store, kind), covering_compositions(tiny_store)[0]
    composition = executor.compose(choices)
    executor.close()
    for call in (
        lambda: composition.run({"image": X}),
        lambda: executor.compose(choices),
        lambda: executor.to_load(choices),
        lambda: executor.retain(choices),
        executor.elsewhere_bytes,
    ):
        with pytest.raises(ClosedError, match="is closed"):
            call()
    runtime = open_runtime(tiny_store, kind, tmp_path)
    plan = runtime.plan
    governor = Governor(runtime)
    runtime.close()
    for call in [*calls(runtime, plan), governor.step, lambda: Governor(runtime)]:
        with pytest.raises(ClosedError, match="this runtime is closed; open a new one"):
            call()


def test_a_composition_that_was_let_go_is_refused_not_run(tiny_store: Store) -> None:
    first, second, *_ = covering_compositions(tiny_store)
    for kind in ("capi", "isolated"):
        executor = executor_of(tiny_store, kind)
        old = executor.compose(first)
        two = tuple(type(c)(c.segment, c.option, 2) for c in second)
        executor.compose(two)
        executor.retain(two)
        with pytest.raises(ClosedError, match="compose again"):
            old.run({"image": X})
        executor.close()


@pytest.mark.parametrize("broken", ["place", "allocate", "Tensor", "compile", "map"])
def test_an_opening_that_fails_half_way_holds_nothing(
    broken: str, tiny_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm_up(tiny_store)
    before = held(tiny_store)

    def fail(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory") if broken in ("place", "map") else ExecutionError("broken")

    place = {
        "place": (linked_model, "MappedFiles"),
        "map": (linked_model, "MappedModel"),
        "allocate": (tensor_pool, "allocate_ends"),
        "Tensor": (litert_capi, "CApiTensor"),
    }
    if broken in place:
        monkeypatch.setattr(*place[broken], fail)
    else:
        monkeypatch.setattr(litert_capi, "_CPU", 1 << 20)  # no such accelerator
    with pytest.raises(ExecutionError) as error:
        Runtime.open([tiny_store.path])
    assert held(tiny_store) == before, str(error.value)


def uncompilable() -> np.ndarray:
    """The self-test's model with a kernel of another shape than its data."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    content = np.fromfile(Path(litert_capi.__file__).with_name("selftest.tflite"), np.uint8)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    model.subgraphs[0].tensors[1].shape = [7, 7, 7, 7]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return np.frombuffer(bytes(builder.Output()), np.uint8)


def test_a_model_that_cannot_be_compiled_leaves_no_descriptor(tiny_store: Store, tmp_path: Path) -> None:
    found = weight_cache.open_packed(tiny_store)
    before = held(tiny_store)
    for content, function in ((np.zeros(64, np.uint8), "ModelFromBuffer"), (uncompilable(), "CompiledModel")):
        with pytest.raises(ExecutionError, match=f"LiteRtCreate{function} failed"):
            litert_capi.CApiModel(content.ctypes.data, len(content), 1, found.weights)
    assert held(tiny_store) == before
    found.close()
    found.close()


def test_an_isolated_model_that_cannot_be_opened_leaves_nothing(store_copy: Path, tmp_path: Path) -> None:
    store = Store(store_copy)
    before = held(store)
    (store_copy / store.manifest.segments[0].original.file).write_bytes(b"x")
    with pytest.raises(StoreError):
        IsolatedExecutor(store)
    assert held(store) == before


def test_an_interrupted_answer_is_not_taken_for_the_next_ones(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a worker computes, in an application that goes on after it."""
    executor = IsolatedExecutor(tiny_store)
    composition = executor.compose(covering_compositions(tiny_store)[0])
    other = {"image": np.zeros_like(X)}
    expected, zeros = composition.run({"image": X})["head"], composition.run(other)["head"]

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupting:
        interrupting.setattr(Connection, "poll", interrupted)
        with pytest.raises(KeyboardInterrupt):
            composition.run({"image": X})
    np.testing.assert_array_equal(composition.run(other)["head"], zeros)
    np.testing.assert_array_equal(composition.run({"image": X})["head"], expected)
    executor.close()


def test_release_happens_once_and_not_while_it_is_used() -> None:
    done: list[str] = []

    class Owner:
        pass

    owner = Owner()
    release = release_with(owner, done.append, "released")
    release()
    release()
    del owner
    assert done == ["released"]
    life = Lifetime("it")
    assert [life.end() for _ in range(3)] == [True, False, False]
