"""A store's files are checked and tried out in a process of its own before this one runs them, and never otherwise.

Covers also: runtime.executors.trial_child.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn import processes
from legodnn.errors import ExecutionError, StoreError
from legodnn.files import sha256_bytes
from legodnn.runtime.executors import trial
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.interpreter import InterpreterExecutor
from legodnn.runtime.executors.isolated import IsolatedExecutor
from legodnn.runtime.executors.select import open_executor
from legodnn.store import Store
from tests.runtime.probe_store import probe_store
from tests.runtime.tflite.tflite_files import packed as packed_file
from tests.runtime.tflite.tflite_files import schema

KINDS = ("capi", "interpreter")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(trial, "_tried", set())
    monkeypatch.setenv("LEGODNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def forged(folder: Path, change: Callable[[Any], object]) -> Store:
    """The store with another file for an option of block2, and a manifest that says so."""
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = next(o for s in manifest["segments"] if s["name"] == "block2" for o in s["options"] if o["name"] == "s0.5")
    model = schema.ModelT.InitFromPackedBuf(bytearray((folder / entry["file"]).read_bytes()), 0)
    change(model)
    content = packed_file(model)
    (folder / entry["file"]).write_bytes(content)
    entry["bytes"], entry["sha256"] = len(content), sha256_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Store(folder)


def without_stride(model: Any) -> None:
    for operator in model.subgraphs[0].operators:
        if operator.builtinOptionsType == schema.BuiltinOptions.Conv2DOptions:
            operator.builtinOptions.strideW = 0


def with_an_endless_loop(model: Any) -> None:
    graph = model.subgraphs[0]
    code, loop, options = schema.OperatorCodeT(), schema.OperatorT(), schema.WhileOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.WHILE
    options.condSubgraphIndex, options.bodySubgraphIndex = 1, 2
    loop.opcodeIndex, loop.builtinOptionsType, loop.builtinOptions = len(model.operatorCodes), 93, options
    model.operatorCodes.append(code)
    yes, always = schema.TensorT(), schema.BufferT()
    yes.shape, yes.type, yes.buffer, always.data = [], 6, len(model.buffers), np.ones(1, np.uint8)
    model.buffers.append(always)
    result = graph.tensors[int(graph.outputs[0])]
    for tensors, output in (([result, yes], 1), ([result], 0)):
        part = schema.SubGraphT()
        part.tensors, part.inputs, part.outputs, part.operators = tensors, [0], [output], []
        model.subgraphs.append(part)
    loop.inputs, loop.outputs = graph.outputs, [len(graph.tensors)]
    graph.tensors.append(result)
    graph.operators.append(loop)
    graph.outputs = loop.outputs


def with_a_tensor_that_is_not_there(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs[0] = 1000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [without_stride, with_an_endless_loop, with_a_tensor_that_is_not_there])
def test_a_file_that_would_end_or_hang_this_process_is_an_error_that_names_it(
    store_copy: Path, kind: str, change: Callable[[Any], object], cache: Path
) -> None:
    with pytest.raises(StoreError, match=r"block2/s0\.5\.tflite \(block2/s0\.5\) is refused: .*; build"):
        open_executor(forged(store_copy, change), kind)
    assert not [p for p in cache.glob("*") if not p.name.startswith(".")]


def test_names_that_are_no_text_are_the_files_fault(store_copy: Path) -> None:
    def rename(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[int(graph.inputs[0])].name = b"x\xd3"

    with pytest.raises(StoreError, match=r"s0\.5\.tflite cannot be loaded .*decode.*; build the store again"):
        open_executor(forged(store_copy, rename), "interpreter")


def test_isolated_models_are_refused_as_well(store_copy: Path) -> None:
    with pytest.raises(StoreError, match=r"stride_w is 0"):
        IsolatedExecutor(forged(store_copy, without_stride))


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_can_be_kept_files_are_tried_out_all_the_same(
    store_copy: Path, tiny_store: Store, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEGODNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "legodnn").write_text("no folder")
    executor = open_executor(tiny_store, kind)
    assert isinstance(executor, InterpreterExecutor)
    executor.compose(covering_compositions(tiny_store)[0]).run({"image": np.zeros((12, 12, 1), np.float32)})
    with pytest.raises(StoreError, match="stride_w is 0"):
        open_executor(forged(store_copy, without_stride), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_done_once_for_a_store_and_device(tiny_store: Store, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    open_executor(tiny_store, kind).close()
    monkeypatch.setattr(trial, "_tried", set())
    monkeypatch.setattr(processes, "run_module", None)
    open_executor(tiny_store, kind).close()


def test_every_option_is_run(tiny_store: Store, tmp_path: Path) -> None:
    """With LiteRT's C API and with the Interpreter, each after all files were checked."""
    options = [f"{s.name}/{o.name}" for s in tiny_store.manifest.segments for o in s.options]
    for arguments in (("capi", "60", str(tmp_path)), ("interpreter", "60")):
        done = processes.run_module(
            "legodnn.runtime.executors.trial_child", str(tiny_store.path), tiny_store.id, *arguments
        )
        told = [json.loads(line) for line in done.stdout.splitlines()]
        assert told.pop() == {"done": "everything"}
        assert [message["option"] for message in told if message] == options * 2


def replaced(text: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """In place of the child, a process that says what it does and then goes another way."""

    def run(module: str, *arguments: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
        told = """print('{"option": "block2/s0.5", "file": "block2/s0.5.tflite"}', flush=True); import os, time; """
        command = [sys.executable, "-c", told + text]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)

    return run


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGBUS])
def test_a_signal_is_the_files_fault_and_no_reason_to_run_it_otherwise(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch, kind: str, number: signal.Signals
) -> None:
    monkeypatch.setattr(processes, "run_module", replaced(f"os.kill(os.getpid(), {number.value})"))
    with pytest.raises(
        StoreError,
        match=rf"block2/s0\.5\.tflite \(block2/s0\.5\) ended the process .* by {number.name}, so it is not run",
    ):
        open_executor(tiny_store, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_taking_too_long_is_the_files_fault(tiny_store: Store, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(trial, "_seconds", lambda store: 2)
    monkeypatch.setattr(trial, "_ELAPSED", 1)
    monkeypatch.setattr(processes, "run_module", replaced("time.sleep(60)"))
    with pytest.raises(StoreError, match=r"block2/s0\.5\) took more than 2 s to try out"):
        open_executor(tiny_store, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_others_end_is_not_the_stores_fault_and_the_store_is_not_run(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(processes, "run_module", replaced("os.kill(os.getpid(), 9)"))
    with pytest.raises(ExecutionError, match="could not be tried out: the process was ended by SIGKILL from outside"):
        open_executor(tiny_store, kind)


@pytest.mark.capi
def test_where_the_process_that_packs_is_killed_the_interpreter_tries_the_store_out_and_runs_it_with_a_warning(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As docs/store.md says."""
    started, run_module = list[str](), processes.run_module

    def first_is_killed(module: str, *arguments: str, timeout_s: float | None = None) -> Any:
        started.append(arguments[2])
        run = run_module if len(started) > 1 else replaced("os.kill(os.getpid(), 9)")
        return run(module, *arguments, timeout_s=timeout_s)

    monkeypatch.setattr(processes, "run_module", first_is_killed)
    executor = open_executor(tiny_store)
    assert isinstance(executor, InterpreterExecutor)
    assert started == ["capi", "interpreter"]
    (warning,) = caplog.messages
    assert "tiny runs without packed weights" in warning
    assert "was ended by SIGKILL from outside (is memory short?)" in warning
    executor.compose(covering_compositions(tiny_store)[0]).run({"image": np.zeros((12, 12, 1), np.float32)})


@pytest.fixture
def no_statuses() -> Iterator[None]:
    """As daemons have it: the system forgets how processes end, and Python takes it that all went well."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("no_statuses")
@pytest.mark.parametrize("kind", KINDS)
def test_a_process_whose_end_is_not_known_has_not_tried_the_store_out(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(processes, "run_module", replaced("os.abort()"))
        with pytest.raises(ExecutionError, match="could not be tried out: how its process ended is not known here"):
            open_executor(tiny_store, kind)
    open_executor(tiny_store, kind).close()


def test_too_little_address_space_of_this_process_is_not_the_stores_fault(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "run_module", replaced("os.abort()"))
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 46, before[1]))
    try:
        with pytest.raises(ExecutionError, match="in the address space that this process is limited to"):
            open_executor(tiny_store, "interpreter")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


WITH_LITTLE_MEMORY = """
import sys
from types import SimpleNamespace
import psutil
from legodnn.runtime.executors.trial_child import child
store, identity, folder, memory = sys.argv[1:]
psutil.virtual_memory = lambda: SimpleNamespace(total=int(memory))
sys.exit(child(store, identity, "capi", 60, folder))
"""


@pytest.mark.capi
def test_a_store_may_be_larger_than_a_third_of_the_machines_memory(tmp_path: Path) -> None:
    """Its files are mapped, several times over: what one composition reads of them is less than that."""
    store = probe_store(tmp_path / "large", 4, 512, (512,), 4)
    files = sum(o.bytes for s in store.manifest.segments for o in s.options)
    (tmp_path / "entry").mkdir()
    arguments = (str(store.path), store.id, str(tmp_path / "entry"), str(2 * files))
    command = [sys.executable, "-c", WITH_LITTLE_MEMORY, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert json.loads(done.stdout.splitlines()[-1]) == {"done": "everything"}


def test_a_store_that_is_replaced_meanwhile_is_not_taken_for_the_one_that_was_opened(tiny_store: Store) -> None:
    done = processes.run_module(
        "legodnn.runtime.executors.trial_child", str(tiny_store.path), "0" * 64, "interpreter", "60"
    )
    _, error = trial.told(done.stdout)
    assert error == ("StoreError", f"{tiny_store.path} was replaced while it was opened; open it again")


def test_time_grows_with_the_store_and_has_an_end(tiny_store: Store) -> None:
    assert 60 <= trial._seconds(tiny_store) < 70
    options = tiny_store.manifest.segments[1].options
    larger = tiny_store.manifest.segments[1].model_copy(
        update={"options": tuple(o.model_copy(update={"macs": 80_000_000_000}) for o in options[:1])}
    )
    store = Store(tiny_store.path)
    store.manifest = store.manifest.model_copy(update={"segments": (larger,)})
    assert 800 < trial._seconds(store) < 1000
    store.manifest = store.manifest.model_copy(
        update={"segments": (larger.model_copy(update={"options": larger.options * 1000}),)}
    )
    assert trial._seconds(store) == 1800
