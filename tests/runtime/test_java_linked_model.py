"""The Java library links a store's files to one model, for LiteRT 2 on phones. Its `CompiledModel`, which Python has
too, computes with every signature what the `Interpreter` computes with that file alone."""

from __future__ import annotations

import shutil
import subprocess
import urllib.error
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.runtime.executors.linked_model import linked_options
from legodnn.store import Store
from tests.benchmarks.scripts import load
from tests.runtime.probe_store import probe_store
from tests.runtime.tflite.tflite_files import changed
from tests.runtime.whole_models.whole_files import dense_int8

LIBRARY = Path(__file__).parents[2] / "android_demo/lego-runtime"

pytestmark = pytest.mark.skipif(shutil.which("javac") is None, reason="needs a JDK")
Link = Callable[[Path, Sequence[Path]], str]


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Link:
    """A function that writes the linked model of files, and returns what was said."""
    maven = load("support.maven")
    try:
        annotations = maven.central(*maven.JSPECIFY)
    except urllib.error.URLError as e:
        pytest.skip(f"Maven Central cannot be reached: {e}")
    classes = tmp_path_factory.mktemp("java")
    command = ["javac", "--release", "8", "-Xlint:-options", "-cp", str(annotations), "-d", str(classes)]
    sources = f"{LIBRARY}/src/main/java:{LIBRARY}/src/test/java"
    program = "org/legodnn/internal/tflite/LinkFiles"
    subprocess.run([*command, "-sourcepath", sources, f"{LIBRARY}/src/test/java/{program}.java"], check=True)

    def write(out: Path, files: Sequence[Path]) -> str:
        run = ["java", "-cp", str(classes), program.replace("/", "."), str(out), *map(str, files)]
        return subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()

    return write


def compiled(file: Path, packed: Path, threads: int = 1) -> Any:
    from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, HardwareAccelerator, Options

    cpu = CpuOptions(num_threads=threads, xnnpack_weight_cache_path=str(packed))
    return CompiledModel.from_file(str(file), options=Options(HardwareAccelerator.CPU, cpu_options=cpu))


def random_inputs(details: Sequence[Any], rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.uniform(-1, 1, d["shape"]).astype(np.float32) if d["dtype"] is np.float32
            else rng.integers(-128, 128, d["shape"]).astype(d["dtype"]) for d in details]  # fmt: skip


def run_alone(file: Path, rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Random inputs, and what the Interpreter computes of them."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    inputs = random_inputs(interpreter.get_input_details(), rng)
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return inputs, [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def run_linked(model: Any, signature: str, inputs: Sequence[np.ndarray], like: Sequence[np.ndarray]) -> list[Any]:
    index = model.get_signature_index(signature)
    read, written = model.create_input_buffers(index), model.create_output_buffers(index)
    for buffer, value in zip(read, inputs, strict=True):
        buffer.write(value)
    model.run_by_index(index, read, written)
    return [b.read(a.size, a.dtype.type).reshape(a.shape) for b, a in zip(written, like, strict=True)]


def check_signatures(model: Any, files: Sequence[Path]) -> None:
    rng = np.random.default_rng(0)
    assert model.get_num_signatures() == len(files)
    for number, file in enumerate(files):
        inputs, outputs = run_alone(file, rng)
        for found, expected in zip(run_linked(model, str(number), inputs, outputs), outputs, strict=True):
            np.testing.assert_array_equal(found, expected, err_msg=file.name)


def files_of(store: Store) -> list[Path]:
    return [store.path / option.file for _, option in linked_options(store)]


@pytest.mark.parametrize("name", ["tiny_store", "tiny_store2"])
def test_every_signature_computes_what_its_file_does(
    name: str, request: pytest.FixtureRequest, link: Link, tmp_path: Path
) -> None:
    files = files_of(request.getfixturevalue(name))
    out, packed = tmp_path / "linked.tflite", tmp_path / "packed"
    assert link(out, files) == ""
    model = compiled(out, packed)
    check_signatures(model, files)
    details = model.get_signature_list()
    assert all(s["inputs"] == [f"x{i}" for i in range(len(s["inputs"]))] for s in details.values())
    assert all(s["outputs"] == [f"y{i}" for i in range(len(s["outputs"]))] for s in details.values())


def test_a_file_may_come_twice_and_types_may_differ(link: Link, tmp_path: Path) -> None:
    store = probe_store(tmp_path / "chain", 8, 8, (16, 8), 2)
    files = [*files_of(store), dense_int8(tmp_path / "dense.tflite"), files_of(store)[0]]
    assert link(tmp_path / "linked.tflite", files) == ""
    check_signatures(compiled(tmp_path / "linked.tflite", tmp_path / "packed"), files)


def test_weights_are_packed_once_and_a_renamed_file_is_found_again(link: Link, tmp_path: Path) -> None:
    """What the executor does with packed weights: into a file of another name first, so that one that was cut short is
    never read."""
    files = files_of(probe_store(tmp_path / "chain", 8, 64, (64, 32), 1))
    linked, making, packed = (tmp_path / name for name in ("linked.tflite", "making", "packed"))
    assert link(linked, files) == ""
    first = compiled(linked, making)
    making.rename(packed)
    written = packed.stat()
    check_signatures(first, files)
    for threads in (1, 2):
        check_signatures(compiled(linked, packed, threads), files)
    assert (packed.stat().st_mtime_ns, packed.stat().st_ino) == (written.st_mtime_ns, written.st_ino)
    assert not making.exists()


def test_what_cannot_be_linked_is_told_and_nothing_is_left(link: Link, tmp_path: Path) -> None:
    whole = (tmp_path / "whole.tflite", changed(lambda model: None))
    cases = {
        "it has 2 graphs instead of one": changed(lambda model: model.subgraphs.append(model.subgraphs[0])),
        "some of its weights lie behind its tables": changed(lambda model: setattr(model.buffers[1], "offset", 4096)),
        "is no TensorFlow Lite file": whole[1][: len(whole[1]) // 3],
    }
    whole[0].write_bytes(whole[1])
    for message, content in cases.items():
        bad = tmp_path / "bad.tflite"
        bad.write_bytes(content)
        assert message in link(tmp_path / "linked.tflite", [whole[0], bad])
        assert not list(tmp_path.glob("linked*"))
