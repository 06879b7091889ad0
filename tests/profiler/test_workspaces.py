"""The workspace of an option is what its tensors take at a time, beside those that pass over it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from legodnn.profiler.probe_blocks import probe_file
from legodnn.profiler.workspaces import option_workspaces
from legodnn.runtime.tflite.cost import workspace_bytes
from legodnn.runtime.tflite.model_file import FileGraph, FileOperator, FileTensor, parse_model_file
from legodnn.store import Store
from tests.runtime.probe_store import chain_store, probe_store
from tests.runtime.tflite.tflite_files import int8_block


def graph(
    sizes: list[int], operators: list[tuple[tuple[int, ...], tuple[int, ...]]], outputs: tuple[int, ...]
) -> FileGraph:
    nothing = np.zeros(0, np.float32), np.zeros(0, np.int64)
    tensors = tuple(FileTensor((size,), "int8", None, *nothing, axis=0) for size in sizes)
    return FileGraph(tensors, (0,), outputs, tuple(FileOperator(0, 1, i, o, 0, None) for i, o in operators))


def test_tensors_take_room_from_where_they_are_written_to_where_they_are_last_read() -> None:
    chain = graph([10, 40, 5, 30], [((0,), (1,)), ((1,), (2,)), ((2,), (3,))], (3,))
    assert workspace_bytes(chain) == 50  # the input and what the first writes
    assert workspace_bytes(chain, kept=[0]) == 45
    assert workspace_bytes(chain, kept=[1]) == 35
    residual = graph([10, 40, 5, 30], [((0,), (1,)), ((1,), (2,)), ((0, 2, -1), (3,))], (3,))
    assert workspace_bytes(residual) == 55


def test_what_nothing_reads_takes_room_when_it_is_written_and_outputs_until_the_end() -> None:
    unread = graph([10, 40, 50, 30], [((0,), (1, 2)), ((1,), (3,))], (3,))
    assert workspace_bytes(unread) == 100
    early = graph([10, 40, 5, 30], [((0,), (1,)), ((0,), (2,)), ((2,), (3,))], (1, 3))
    assert workspace_bytes(early) == 75


def test_constants_and_what_nothing_reads_take_none() -> None:
    found = parse_model_file(probe_file("conv", "float32", 8, 4, 6))
    # 8 x 8 of 4 channels are read, and as many of 6 written.
    assert workspace_bytes(found) == 4 * 64 * (4 + 6)


def test_the_ends_of_a_model_lie_elsewhere_and_what_passes_over_a_segment_does_not(tmp_path: Path) -> None:
    chain = probe_store(tmp_path / "chain", 8, 4, (6, 2), 4)
    inner = {option: 4 * 64 * width for option, width in (("w6", 6), ("w2", 2))}
    between = 4 * 64 * 4
    found = option_workspaces(chain)
    assert found == {(f"b{i}", option): size + between for i in range(4) for option, size in inner.items()}
    document = json.loads((chain.path / "manifest.json").read_text())
    document["segments"][3]["inputs"], document["outputs"] = ["t1"], ["t3", "t4"]  # t1 passes over b1 and b2
    (chain.path / "manifest.json").write_text(json.dumps(document))
    found = option_workspaces(Store(chain.path))
    for option, size in inner.items():
        passing = {"b0": size + between, "b1": size + 2 * between, "b2": size + 2 * between, "b3": size + between}
        assert {segment: found[segment, option] for segment in passing} == passing


def test_floats_between_options_in_int8_take_room_only_where_they_are_made(tmp_path: Path) -> None:
    """16 floats take 64 bytes, as many whole numbers 16."""
    met, apart = int8_block(0.1, 0.1), int8_block(0.1, 0.2)
    alone = chain_store(tmp_path / "met", {"met": met}, (16,), "float32", 3)
    assert option_workspaces(alone) == {(f"b{i}", "met"): 32 for i in range(3)}
    other = chain_store(tmp_path / "apart", {"apart": apart}, (16,), "float32", 3)
    assert option_workspaces(other) == {(f"b{i}", "apart"): 80 for i in range(3)}
    # In the middle, one that also reads the floats, and makes its output of floats, has them at both ends.
    floats = int8_block(0.1, 0.1, floats_too=True)
    mixed = option_workspaces(chain_store(tmp_path / "mixed", {"met": met, "floats": floats}, (16,), "float32", 3))
    assert [mixed[f"b{i}", "met"] for i in range(3)] == [32] * 3
    assert mixed["b1", "floats"] == 3 * 64
