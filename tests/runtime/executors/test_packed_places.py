"""What a composition holds of packed weights and descriptions is what its own options need."""

from __future__ import annotations

import json
import mmap
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.runtime.device.memory import process_memory_bytes
from legodnn.runtime.executors import weight_cache
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.capi_executor import CApiExecutor
from legodnn.runtime.executors.linked_front import separate_front
from legodnn.runtime.executors.linked_model import linked_options
from legodnn.runtime.executors.packed_places import read_places, spans_of
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.tflite.flatbuffer import fields
from legodnn.runtime.tflite.flatbuffer_writer import write_flatbuffer
from legodnn.store import Store
from tests.runtime.executors.test_address_space import held
from tests.runtime.probe_store import probe_store

pytestmark = pytest.mark.capi
ROOT = Path(__file__).resolve().parents[3]
BLOCKS, CHANNELS, WIDTHS = 4, 16, tuple(range(64, 8, -4))
X = {"t0": np.random.default_rng(0).normal(size=(1, 4, 4, CHANNELS)).astype(np.float32)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Of many small options, so that the kernel maps those of others around each one that is read."""
    return probe_store(tmp_path_factory.mktemp("packed") / "m", 4, CHANNELS, WIDTHS, BLOCKS)


def packed_bytes(width: int) -> int:
    """What XNNPACK packs of an option: weights and biases in float32, for a multiple of its tile of channels."""
    return 4 * 9 * CHANNELS * width * 2


def test_a_file_says_where_the_weights_of_every_option_are(store: Store) -> None:
    CApiExecutor(store).close()
    packed = weight_cache.read_entry(weight_cache.entry_path(store))
    assert packed is not None
    sizes = []
    for number, (segment, option) in enumerate(linked_options(store)):
        for joined in (False, True):
            front = separate_front(packed.graphs, [number])
            spans = spans_of(packed.places, front.buffers, joined)
            assert spans == sorted(spans)
            assert all(start % mmap.PAGESIZE == end % mmap.PAGESIZE == 0 for start, end in spans)
            sizes.append(sum(end - start for start, end in spans))
            width = int(option.name[1:])
            assert packed_bytes(width) <= sizes[-1] < 1.5 * packed_bytes(width) + 4 * mmap.PAGESIZE
            if joined and segment != store.manifest.segments[-1]:  # its last operator's weights are there once more
                assert spans != spans_of(packed.places, front.buffers, joined=False)
    packed.close()


def test_a_file_of_another_format_says_nothing_and_one_that_is_known_does(store: Store, tmp_path: Path) -> None:
    CApiExecutor(store).close()
    content = bytearray((weight_cache.entry_path(store) / weight_cache.WEIGHTS).read_bytes())
    path = tmp_path / "weights"
    path.write_bytes(content)
    assert len(read_places(path)) > BLOCKS * len(WIDTHS)
    start = int.from_bytes(content[8:16], "little")
    for place in (0, start):  # the version; where the list's root lies
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        assert read_places(path).shape == (0, 4)
        assert spans_of(read_places(path), np.arange(4), joined=True) == []


def test_weights_without_a_bias_have_places_too(tmp_path: Path) -> None:
    schema = fields(
        "fingerprints:[uint64] buffers:[table] start:uint64",
        buffers=fields("algorithm:uint64 weights:uint64 bias:uint64 start:uint64 bytes:uint64"),
    )
    rows = [(3, 7, 2**64 - 1, 0, 100), (3, 8, 9, 128, 5000)]
    names = ("algorithm", "weights", "bias", "start", "bytes")
    content = write_flatbuffer(
        {"buffers": [dict(zip(names, row, strict=True)) for row in rows], "start": 64}, b"none", schema
    )
    path = tmp_path / "weights"
    path.write_bytes(struct.pack("<QQQ", 4, 24, len(content)) + content)
    places = read_places(path)
    assert places.tolist() == [[7, -1, 64, 164], [8, 9, 192, 5192]]
    assert spans_of(places, np.array([7]), joined=True) == [(0, mmap.PAGESIZE)]


def running(path: str, names: list[str]) -> tuple[int, int, list[float]]:
    """What a composition holds of packed weights and of the head, after two inferences; and their output."""
    store = Store(path)
    executor = open_executor(store)
    composed = executor.compose(chosen(store, names))
    executor.retain(composed.choices)
    (output,) = composed.run(X).values()
    (again,) = composed.run(X).values()
    np.testing.assert_array_equal(output, again)
    entry = weight_cache.entry_path(store)
    return held(entry / weight_cache.WEIGHTS), held(entry / weight_cache.HEAD), output.ravel().tolist()


def chosen(store: Store, names: list[str]) -> tuple[Choice, ...]:
    return tuple(Choice(s.name, name, 1) for s, name in zip(store.manifest.segments, names, strict=True))


def in_a_fresh_process(store: Store, call: str, *arguments: str) -> Any:
    """What a function of this module returns, called as its text says, where `sys.argv[2:]` are the arguments."""
    program = (
        f"import json, sys; from tests.runtime.executors import test_packed_places as t; print(json.dumps(t.{call}))"
    )
    command = [sys.executable, "-c", program, str(store.path), *arguments]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.parametrize("widths", [(64,) * 4, (12,) * 4, (64, 40, 28, 12)])
def test_a_composition_holds_no_pages_of_other_options_weights(store: Store, widths: tuple[int, ...]) -> None:
    names = [f"w{width}" for width in widths]
    weights, head, output = in_a_fresh_process(store, "running(sys.argv[1], sys.argv[2:])", *names)
    needed = sum(map(packed_bytes, widths))
    assert 0.9 * needed <= weights < 1.5 * needed + 4 * BLOCKS * mmap.PAGESIZE
    assert head < (weight_cache.entry_path(store) / weight_cache.HEAD).stat().st_size / 2
    interpreter = open_executor(store, "interpreter")
    (expected,) = interpreter.compose(chosen(store, names)).run(X).values()
    np.testing.assert_allclose(output, expected.ravel(), atol=1e-5)
    interpreter.close()


def growth(path: str) -> int:
    """By how many bytes this process grows by switching to every option, after it has switched between a few."""
    store = Store(path)
    executor, rng = open_executor(store), random.Random(0)
    segments = store.manifest.segments

    def held_after_switches(options: int) -> int:
        for _ in range(200):
            names = [(s.name, rng.choice(s.options[:options]).name) for s in segments]
            choices = tuple([Choice(segment, name, 1) for segment, name in names])
            executor.compose(choices).run(X)
            executor.retain(choices)
        executor.retain(())
        return process_memory_bytes()

    return -held_after_switches(1) + held_after_switches(len(WIDTHS))


def test_what_switches_leave_behind_does_not_add_up(store: Store) -> None:
    assert in_a_fresh_process(store, "growth(sys.argv[1])") < 50_000
