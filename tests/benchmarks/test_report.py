"""All benchmarks have one face: the same arguments, and one JSON object as the last line."""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.benchmarks.scripts import FOLDER, load

SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture(scope="module")
def report() -> ModuleType:
    return load("support.report")


def run(
    report: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str, folders: tuple[str, ...] = ()
) -> argparse.Namespace:
    """Run a benchmark of one figure with these arguments; return what it was given."""
    given = []

    def measure(args: argparse.Namespace) -> Any:
        given.append(args)
        return {"ms": 4.0}, [report.bar("latency, ms", 4.0, 5.0), report.bar("gain", 1.0, 2.0, "higher")]

    monkeypatch.setattr(sys, "argv", ["benchmark.py", *arguments])
    report.run("example", "What it measures.", measure, folders=folders, table=lambda figures: f"{figures['ms']} ms")
    return given[0]


def test_the_last_line_is_one_json_object(
    report: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(report, monkeypatch, "--quick")
    *people, last = capsys.readouterr().out.splitlines()
    assert people == ["4.0 ms", "ok   latency, ms: 4 (limit 5)", "FAIL gain: 1 (limit 2)"]
    found = json.loads(last)
    assert set(found) == {"name", "machine", "figures", "bars"}
    assert (found["name"], found["figures"]) == ("example", {"ms": 4.0})
    assert set(found["machine"]) == {"cpu", "cores", "executor", "python", "numpy"}
    assert [b["holds"] for b in found["bars"]] == [True, False]


def test_with_json_nothing_else_is_printed(
    report: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(report, monkeypatch, "--json").quick is False
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["name"] == "example"


def test_folders_are_those_given_or_a_temporary_one_for_stores(
    report: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folders = ("data", "stores", "work")
    monkeypatch.setenv("LEGODNN_DATA", str(tmp_path / "real"))
    args = run(report, monkeypatch, "--work", str(tmp_path / "new" / "work"), folders=folders)
    assert args.data == tmp_path / "real"
    assert args.work.is_dir()
    assert not args.stores.exists(), "a temporary folder, which is gone"
    args = run(report, monkeypatch, "--data", "given", "--stores", str(tmp_path), folders=folders)
    assert (args.data, args.stores, args.work) == (Path("given"), tmp_path, None)


def test_without_data_a_benchmark_that_needs_it_asks_for_it(
    report: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LEGODNN_DATA", raising=False)
    with pytest.raises(SystemExit):
        run(report, monkeypatch, folders=("data",))
    assert "--data DIR is needed" in capsys.readouterr().err


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_benchmark_ends_by_the_same_run(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    assert "ArgumentParser(" not in ast.unparse(tree), "report.run parses the arguments"
    calls = [n for n in ast.walk(tree.body[-1]) if isinstance(n, ast.Call) and ast.unparse(n.func) == "run"]
    assert [ast.unparse(call.args[0]) for call in calls] == [repr(name)], "run(NAME, __doc__, measure, ...)"
    assert f"python benchmarks/{name}.py" in (ast.get_docstring(tree) or "")


@pytest.mark.parametrize("name", ["switch", "scheduler"])
def test_a_benchmark_runs_as_a_script_from_the_root(name: str) -> None:
    done = subprocess.run(
        [sys.executable, f"benchmarks/{name}.py", "--help"],
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--json" in done.stdout
    assert "--quick" in done.stdout


def test_a_worker_answers_and_its_end_is_told(tmp_path: Path) -> None:
    workers = load("support.workers")
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(FOLDER)!r})\nfrom support.workers import served\n"
        "def answer(request):\n    print('what a solver prints')\n    return [request, 1 // request]\n"
        "assert served({'one': answer})\n"
    )
    worker = workers.script_worker(str(script), "one")
    assert worker.ask(1) == [1, 1]
    with pytest.raises(RuntimeError, match="the worker ended"):
        worker.ask(0)
    worker.close()
