"""The best executor that works here is chosen, or the one that was asked for; what makes no sense is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from legodnn.errors import ConfigError
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.capi_executor import CApiExecutor
from legodnn.runtime.executors.interpreter import InterpreterExecutor
from legodnn.runtime.executors.select import executor_kind, executor_name, open_executor, prepare
from legodnn.store import Store

KINDS = ("capi", "interpreter")


@pytest.mark.capi
def test_the_name_says_how_the_library_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEGODNN_EXECUTOR", raising=False)
    assert executor_kind() == "capi"
    assert executor_name().endswith(" C API")
    monkeypatch.setenv("LEGODNN_EXECUTOR", "interpreter")
    assert executor_kind() == "interpreter"
    assert not executor_name().endswith(" C API")
    assert executor_kind("capi") == "capi"


@pytest.mark.parametrize("nonsense", ["gpu", "CAPI", " capi"])
def test_an_executor_that_there_is_not_is_a_config_error_that_names_the_place(
    nonsense: str, tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for use in (executor_kind, executor_name, lambda kind: open_executor(tiny_store, kind)):
        with pytest.raises(ConfigError, match=f"^no executor '{nonsense}'; it is one of auto, capi or interpreter"):
            use(nonsense)
    monkeypatch.setenv("LEGODNN_EXECUTOR", nonsense)
    for ask in (executor_kind, lambda: open_executor(tiny_store), lambda: prepare(tiny_store)):
        with pytest.raises(ConfigError, match=f"^LEGODNN_EXECUTOR: no executor '{nonsense}'; it is one of"):
            ask()
    assert executor_kind("interpreter") == "interpreter"


def test_an_executor_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^no executor 3; it is one of"):
        executor_kind(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_asked_for_is_opened(kind: str, tiny_store: Store) -> None:
    opened = open_executor(tiny_store, kind)
    assert isinstance(opened, {"capi": CApiExecutor, "interpreter": InterpreterExecutor}[kind])
    opened.close()


def test_compositions_hold_every_option(tiny_store: Store) -> None:
    held = {(c.segment, c.option) for choices in covering_compositions(tiny_store) for c in choices}
    assert held == {(s.name, o.name) for s in tiny_store.manifest.segments for o in s.options}


def program(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_opening_and_running_prints_nothing(tiny_store: Store, kind: str) -> None:
    done = program(
        "import numpy as np\n"
        "from legodnn.runtime.executors.base import covering_compositions\n"
        "from legodnn.runtime.executors.select import open_executor\n"
        "from legodnn.store import Store\n"
        f"store = Store({str(tiny_store.path)!r})\n"
        f"c = open_executor(store, {kind!r}).compose(covering_compositions(store)[0])\n"
        "print(c.run({'image': np.zeros((12, 12, 1), np.float32)})['head'].shape)"
    )
    assert (done.stdout.strip(), done.stderr) == ("(10,)", "")


def test_what_implements_executors_is_loaded_when_it_is_first_needed() -> None:
    """Importing the runtime and planning take no longer for it."""
    done = program(
        "import sys, legodnn.runtime\n"
        "print(*(m for m in sys.modules if m.startswith(('legodnn.runtime.executors.', 'multiprocessing'))))"
    )
    assert done.stdout.split() == ["legodnn.runtime.executors.base", "legodnn.runtime.executors.select"], done.stderr
