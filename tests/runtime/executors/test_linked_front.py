"""A front describes chosen options and nothing else: one by one, or joined to one graph that computes the same bits.

Covers also: runtime.executors.linked_graphs.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.manifest import MANIFEST, Precision
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.capi_executor import CApiExecutor
from legodnn.runtime.executors.linked_front import Front, joined_front, separate_front
from legodnn.runtime.executors.linked_graphs import LinkedGraphs
from legodnn.runtime.executors.linked_model import link, linked_options, quantised_ends_of
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.tflite.model_file import parse_model_file
from legodnn.store import Store
from tests.runtime.probe_store import chain_store, probe_store
from tests.runtime.tflite.tflite_files import int8_block
from tests.runtime.whole_models.whole_files import dense_int8

pytestmark = pytest.mark.capi


def described(store: Store, front: Front) -> Any:
    """The model that the head of a store describes with a front, as ai-edge-litert's schema reads it."""
    from ai_edge_litert import schema_py_generated as schema

    head = bytearray(link(store))
    front.write(head)
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(head, 0))


def linked_graphs(store: Store) -> LinkedGraphs:
    return LinkedGraphs.found(link(store), quantised_ends_of(store))


@pytest.fixture(params=["tiny_store", "tiny_store2"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


def test_options_one_by_one_have_a_signature_each(store: Store) -> None:
    count = len(list(linked_options(store)))
    for numbers in ([0], [count - 1, 0], list(range(count))):
        model = described(store, separate_front(linked_graphs(store), numbers))
        assert [s.subgraphIndex for s in model.signatureDefs] == list(range(len(numbers)))
        for signature, graph in zip(model.signatureDefs, model.subgraphs, strict=True):
            assert [t.tensorIndex for t in signature.inputs] == list(graph.inputs)
            assert [t.tensorIndex for t in signature.outputs] == list(graph.outputs)


def first_options(store: Store) -> list[int]:
    numbers = {segment.name: number for number, (segment, _) in reversed(list(enumerate(linked_options(store))))}
    return list(numbers.values())[::-1]


def test_joined_options_are_one_graph_in_which_every_tensor_is_there_before_it_is_read(store: Store) -> None:
    numbers = first_options(store)
    parts = described(store, separate_front(linked_graphs(store), numbers)).subgraphs
    model = described(store, joined_front(linked_graphs(store), numbers, store.manifest))
    (graph,) = model.subgraphs
    assert len(graph.operators) == sum(len(part.operators) for part in parts)
    assert [len(graph.inputs), len(graph.outputs)] == [len(store.manifest.inputs), len(store.manifest.outputs)]
    ready = {-1, *graph.inputs, *(i for i, t in enumerate(graph.tensors) if model.buffers[t.buffer].size)}
    ready |= {i for i, t in enumerate(graph.tensors) if model.buffers[t.buffer].data is not None}
    for operator in graph.operators:
        assert ready.issuperset(operator.inputs)
        assert not ready.intersection(operator.outputs)
        ready.update(operator.outputs)
    assert ready.issuperset(graph.outputs)


def test_an_index_of_the_head_tells_what_is_found_in_it(store: Store) -> None:
    ends, found = quantised_ends_of(store), linked_graphs(store)
    for number, (_, option) in enumerate(linked_options(store)):
        graph, file = found.graph(number), parse_model_file((store.path / option.file).read_bytes())
        assert [graph.inputs.tolist(), graph.outputs.tolist()] == [list(file.inputs), list(file.outputs)]
        assert graph.indices.tolist() == [i for o in file.operators for i in (*o.inputs, *o.outputs)]
        assert [len(graph.tensors), len(graph.operators)] == [len(file.tensors), len(file.operators)]
        assert graph.quantised_ends() == ends[number]


def test_what_other_options_hold_is_left_out(store: Store) -> None:
    numbers = first_options(store)
    everything = described(store, separate_front(linked_graphs(store), range(len(list(linked_options(store))))))
    chosen = described(store, joined_front(linked_graphs(store), numbers, store.manifest))
    used = {tensor.buffer for tensor in chosen.subgraphs[0].tensors}
    assert len(chosen.buffers) == len(everything.buffers)
    for number, (own, original) in enumerate(zip(chosen.buffers, everything.buffers, strict=True)):
        full = (own.size, own.offset, None if own.data is None else bytes(own.data))
        if number in used:
            assert full == (original.size, original.offset, None if original.data is None else bytes(original.data))
        else:
            assert full == (0, 0, None)


def test_a_front_that_is_larger_than_its_room_is_not_written(tiny_store: Store) -> None:
    head = bytearray(link(tiny_store))
    front = separate_front(LinkedGraphs.found(bytes(head), quantised_ends_of(tiny_store)), [0])
    room = int.from_bytes(head[8:12], "little")
    before = bytes(head)
    with pytest.raises(ValueError, match="larger than the room"):
        replace(front, content=front.content.ljust(room + 1, b"\0")).write(head)
    assert bytes(head) == before


@pytest.fixture(scope="module", params=["tiny_store", "tiny_store2"])
def executor(request: pytest.FixtureRequest) -> Iterator[CApiExecutor]:
    opened = CApiExecutor(request.getfixturevalue(request.param))
    yield opened
    opened.close()


@given(st.data())
def test_a_joined_composition_gives_the_same_bits_as_its_segments_one_by_one(
    executor: CApiExecutor, data: st.DataObject
) -> None:
    manifest = executor._store.manifest
    threads = data.draw(st.integers(1, 2))
    choices = tuple(
        Choice(s.name, data.draw(st.sampled_from([o.name for o in s.options])), threads) for s in manifest.segments
    )
    steps = executor.load(choices)
    composed, stepwise = executor.compose(choices), executor.compose_steps({c: steps[c] for c in choices})
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    inputs = {i.name: rng.random(i.shape, np.float32) for i in manifest.inputs}
    outputs = composed.run(inputs), stepwise.run(inputs)
    assert [len(composed.steps), len(stepwise.steps)] == [1, len(choices)]
    for name in manifest.outputs:
        np.testing.assert_array_equal(outputs[0][name], outputs[1][name])
    executor.retain(choices)


def test_an_input_that_no_segment_reads_changes_nothing(tiny_store: Store, tmp_path: Path) -> None:
    shutil.copytree(tiny_store.path, tmp_path / "tiny")
    manifest = json.loads((tmp_path / "tiny" / MANIFEST).read_text())
    manifest["inputs"].append({**manifest["inputs"][0], "name": "more"})
    (tmp_path / "tiny" / MANIFEST).write_text(json.dumps(manifest))
    x, outputs = np.random.default_rng(0).random((12, 12, 1), np.float32), []
    for store in (tiny_store, Store(tmp_path / "tiny")):
        with closing(open_executor(store)) as executor:
            assert isinstance(executor, CApiExecutor)
            composed = executor.compose(tuple(Choice(s.name, s.original.name, 1) for s in store.manifest.segments))
            outputs.append(composed.run({spec.name: x for spec in store.manifest.inputs}))
    np.testing.assert_equal(outputs[0], outputs[1])


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_packed_weights_are_found_by_every_composition_and_by_options_one_by_one(
    tmp_path: Path, precision: Precision
) -> None:
    """XNNPACK would say on stderr that they are stale, and pack them again in memory."""
    store = probe_store(tmp_path / "convolutions", 8, 4, (8, 4), 3, precision)
    program = (
        "import itertools, sys\n"
        "from legodnn.runtime.executors.base import Choice\n"
        "from legodnn.runtime.executors.capi_executor import CApiExecutor\n"
        "from legodnn.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "executor = CApiExecutor(store)\n"
        "of_segment = [[Choice(s.name, o.name, 1) for o in s.options] for s in store.manifest.segments]\n"
        "for choices in itertools.product(*of_segment):\n"
        "    executor.compose(choices)\n"
        "executor.load(list(itertools.chain(*of_segment)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(store.path)], capture_output=True, text=True, check=True)
    assert "stale" not in done.stderr
    assert "ERROR" not in done.stderr


@pytest.mark.parametrize(("dtype", "type"), [("int8", 9), ("uint8", 3)])
def test_blocks_may_meet_in_whole_numbers(tmp_path: Path, dtype: str, type: int) -> None:
    files = {name: dense_int8(tmp_path / name, type, 16, seed).read_bytes() for seed, name in enumerate(("a", "b"))}
    store = chain_store(tmp_path / "whole", files, (16,), dtype, 2)
    x = {"t0": np.arange(16).astype(dtype)}
    choices = tuple(Choice(s.name, name, 1) for s, name in zip(store.manifest.segments, "ba", strict=True))
    found, expected = (open_executor(store, kind).compose(choices).run(x)["t2"] for kind in ("capi", "interpreter"))
    np.testing.assert_array_equal(found, expected)


def operators_of(store: Store, names: Sequence[str]) -> list[int]:
    """The codes of the joined graph in which the blocks have the options of these names."""
    all_options = list(linked_options(store))
    numbers = [
        next(i for i, (segment, option) in enumerate(all_options) if (segment, option.name) == (wanted, name))
        for wanted, name in zip(store.manifest.segments, names, strict=True)
    ]
    model = described(store, joined_front(linked_graphs(store), numbers, store.manifest))
    return [model.operatorCodes[o.opcodeIndex].builtinCode for o in model.subgraphs[0].operators]


ADD, DEQUANTIZE, QUANTIZE = 0, 6, 114
APART, MET = [QUANTIZE, ADD, DEQUANTIZE] * 2, [QUANTIZE, ADD, ADD, DEQUANTIZE]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("aa", APART),  # other scales at both ends
        ("ba", MET),  # b writes what a reads
        ("bc", [QUANTIZE, ADD, DEQUANTIZE, ADD, DEQUANTIZE, ADD]),  # c also reads the floats
        ("cb", [QUANTIZE, ADD, DEQUANTIZE, ADD, QUANTIZE, ADD, DEQUANTIZE]),  # and writes a sum of floats
    ],
)
def test_blocks_meet_in_whole_numbers_where_these_are_the_same(tmp_path: Path, names: str, expected: list[int]) -> None:
    blocks = {"a": int8_block(0.1, 0.2), "b": int8_block(0.1, 0.1), "c": int8_block(0.1, 0.2, floats_too=True)}
    store = chain_store(tmp_path / "met", blocks, (16,), "float32", 2)
    # With all of "t1" an output of the model, floats are made of it all the same.
    (tmp_path / "shown").mkdir()
    document = json.loads((store.path / MANIFEST).read_text())
    document["outputs"] = ["t1", "t2"]
    shown = Path(shutil.copytree(store.path, tmp_path / "shown" / "met"))
    (shown / MANIFEST).write_text(json.dumps(document))
    assert operators_of(store, names) == expected
    kept = [code for code in operators_of(Store(shown), names) if code == DEQUANTIZE]
    assert len(kept) == max(expected.count(DEQUANTIZE), 2)
    x = {"t0": np.random.default_rng(0).normal(0, 8, 16).astype(np.float32)}  # some are beyond what scales reach
    for each in (store, Store(shown)):
        choices = tuple(Choice(s.name, name, 1) for s, name in zip(each.manifest.segments, names, strict=True))
        found, apart = (open_executor(each, kind).compose(choices).run(x) for kind in ("capi", "interpreter"))
        for name in each.manifest.outputs:
            np.testing.assert_array_equal(found[name], apart[name])


def test_a_composition_that_nothing_refers_to_is_closed(tiny_store: Store) -> None:
    executor = CApiExecutor(tiny_store)
    every = [tuple(Choice(s.name, o.name, 1) for s, o in zip(tiny_store.manifest.segments, options, strict=True))
             for options in itertools.product(*(s.options for s in tiny_store.manifest.segments))]  # fmt: skip
    kept = executor.compose(every[0])
    for choices in every[1:]:
        executor.compose(choices)
    assert list(executor._joined) == [every[0]]
    assert executor.compose(every[0]).steps[0]._model is kept.steps[0]._model  # type: ignore[attr-defined]
    executor.close()
