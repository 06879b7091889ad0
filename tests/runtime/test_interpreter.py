"""An executor runs one file between named tensors, and refuses a file that is not what the manifest says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legodnn.errors import StoreError
from legodnn.runtime.interpreter import SegmentExecutor, executor_name, open_interpreter
from legodnn.store import Segment, Store, TensorSpec


def first(store: Store) -> tuple[Path, Segment]:
    segment = store.manifest.segments[0]
    return store.verified_file(segment.original), segment


def specs(store: Store, segment: Segment) -> tuple[list[TensorSpec], list[TensorSpec]]:
    known = store.manifest.specs
    return [known[n] for n in segment.inputs], [known[n] for n in segment.outputs]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_executor_reads_and_writes_tensors_by_name(tiny_store: Store, threads: int) -> None:
    file, segment = first(tiny_store)
    executor = SegmentExecutor(file, *specs(tiny_store, segment), threads)
    image = np.random.default_rng(0).uniform(size=(1, 12, 12, 1)).astype(np.float32)
    tensors = {"image": image, "other": image}
    executor.run(tensors)
    assert set(tensors) == {"image", "other", "block1"}
    interpreter = open_interpreter(model_path=str(file))
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(tensors["block1"], expected, atol=1e-5)


def test_results_outlive_the_next_run(tiny_store: Store) -> None:
    file, segment = first(tiny_store)
    executor = SegmentExecutor(file, *specs(tiny_store, segment))
    one = {"image": np.zeros((1, 12, 12, 1), np.float32)}
    two = {"image": np.ones((1, 12, 12, 1), np.float32)}
    executor.run(one)
    kept = one["block1"].copy()
    executor.run(two)
    np.testing.assert_array_equal(one["block1"], kept)
    assert np.abs(two["block1"] - kept).max() > 0


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([TensorSpec(name="image", shape=(12, 12, 3))], None),
        ([TensorSpec(name="image", shape=(144,))], None),
        ([TensorSpec(name="image", shape=(12, 12, 1))] * 2, None),
        ([], None),
        (None, [TensorSpec(name="block1", shape=(6, 6, 9))]),
        (None, []),
    ],
)
def test_a_file_with_other_tensors_than_the_manifest_says_is_refused(
    tiny_store: Store, inputs: list[TensorSpec] | None, outputs: list[TensorSpec] | None
) -> None:
    file, segment = first(tiny_store)
    right_inputs, right_outputs = specs(tiny_store, segment)
    with pytest.raises(StoreError, match=r"has tensors .* where the manifest says .*; build the store again") as caught:
        SegmentExecutor(file, right_inputs if inputs is None else inputs, right_outputs if outputs is None else outputs)
    assert str(file) in str(caught.value)


def test_a_file_of_another_segment_is_refused(tiny_store: Store) -> None:
    file, _ = first(tiny_store)
    with pytest.raises(StoreError, match="has tensors"):
        SegmentExecutor(file, *specs(tiny_store, tiny_store.manifest.segments[1]))


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 4096, None])
def test_what_is_no_model_is_refused(tiny_store: Store, tmp_path: Path, content: bytes | None) -> None:
    _, segment = first(tiny_store)
    file = tmp_path / "x.tflite"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.tflite cannot be loaded"):
        SegmentExecutor(file, *specs(tiny_store, segment))


def test_the_executors_name_is_package_and_version() -> None:
    package, version = executor_name().split()
    assert package in ("ai-edge-litert", "tflite-runtime", "tensorflow")
    assert version[0].isdigit()


def isolated(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def test_nothing_is_imported_before_the_first_interpreter() -> None:
    program = (
        "import sys, legodnn.runtime.interpreter\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('ai_edge_litert', 'tflite_runtime', 'tensorflow')])"
    )
    assert isolated(program) == "[]"


def test_without_any_runtime_the_message_names_the_command() -> None:
    program = (
        "import sys\n"
        "for name in ('ai_edge_litert', 'tflite_runtime', 'tensorflow'): sys.modules[name] = None\n"
        "from legodnn.runtime.interpreter import executor_name\n"
        "executor_name()"
    )
    last = isolated(program).splitlines()[-1]
    assert last.startswith("legodnn.errors.DependencyError: no TensorFlow Lite runtime is installed; pip install")
