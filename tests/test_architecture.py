"""Who may import whom, without circles; a public name has one meaning; a module is short, and has tests.

Imports inside functions count as well. Those under `if TYPE_CHECKING` do not, because nothing is loaded for them.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("blocks", "profiler", "runtime")

# Every room, and the other rooms that its modules may import. `legodnn` stands for the modules that all rooms share.
MAY_IMPORT = {
    "legodnn": [],
    "legodnn.tasks": ["legodnn"],
    "legodnn.runtime.tflite": ["legodnn"],
    "legodnn.runtime.device": ["legodnn"],
    "legodnn.runtime.executors": ["legodnn", "legodnn.runtime.tflite", "legodnn.runtime.device"],
    "legodnn.runtime.planning.solver": ["legodnn", "legodnn.runtime.planning"],
    "legodnn.runtime.planning": ["legodnn", "legodnn.runtime.planning.solver"],
    "legodnn.runtime.governing": ["legodnn", "legodnn.runtime.device", "legodnn.runtime.planning"],
    "legodnn.runtime": [
        *("legodnn", "legodnn.runtime.device", "legodnn.runtime.executors", "legodnn.runtime.planning"),
        "legodnn.runtime.governing",
    ],
    "legodnn.runtime.feeds": ["legodnn", "legodnn.tasks", "legodnn.runtime", "legodnn.runtime.governing"],
    "legodnn.runtime.serving": [
        *("legodnn", "legodnn.runtime", "legodnn.runtime.device", "legodnn.runtime.governing", "legodnn.runtime.feeds"),
    ],
    "legodnn.runtime.whole_models": [
        *("legodnn", "legodnn.runtime.tflite", "legodnn.runtime.executors", "legodnn.runtime.feeds"),
    ],
    "legodnn.profiler": [
        *("legodnn", "legodnn.runtime.tflite", "legodnn.runtime.device", "legodnn.runtime.executors"),
    ],
    "legodnn.blocks.importing.annotations": ["legodnn", "legodnn.tasks", "legodnn.blocks.importing"],
    "legodnn.blocks.importing.tflite": ["legodnn", "legodnn.runtime.tflite", "legodnn.blocks.importing"],
    "legodnn.blocks.importing.onnx": [
        *("legodnn", "legodnn.runtime.tflite", "legodnn.blocks.importing", "legodnn.blocks.importing.tflite"),
    ],
    "legodnn.blocks.from_torch": ["legodnn"],
    "legodnn.blocks.zoo": ["legodnn"],
    "legodnn.blocks.importing": [
        *("legodnn", "legodnn.blocks.zoo", "legodnn.blocks.importing.tflite", "legodnn.blocks.from_torch"),
        *("legodnn.blocks.importing.annotations", "legodnn.blocks.importing.onnx"),
    ],
    "legodnn.blocks.channels": ["legodnn", "legodnn.blocks.importing"],
    "legodnn.blocks.cutting": ["legodnn", "legodnn.blocks.importing", "legodnn.blocks.channels"],
    "legodnn.blocks.pruning": [
        *("legodnn", "legodnn.blocks.importing", "legodnn.blocks.channels", "legodnn.blocks.cutting"),
    ],
    "legodnn.blocks.accuracy": ["legodnn", "legodnn.tasks", "legodnn.blocks.importing"],
    "legodnn.blocks.training": [
        *("legodnn", "legodnn.tasks", "legodnn.blocks.importing", "legodnn.blocks.channels", "legodnn.blocks.cutting"),
        *("legodnn.blocks.pruning", "legodnn.blocks.jobs", "legodnn.blocks", "legodnn.runtime.device"),
    ],
    "legodnn.blocks.export": [
        *("legodnn", "legodnn.runtime.device", "legodnn.runtime.executors", "legodnn.runtime.tflite"),
        *("legodnn.blocks.importing", "legodnn.blocks.cutting", "legodnn.blocks.jobs", "legodnn.blocks"),
    ],
    "legodnn.blocks.jobs": ["legodnn", "legodnn.runtime.device", "legodnn.blocks"],
    "legodnn.blocks": [
        *("legodnn", "legodnn.blocks.importing", "legodnn.blocks.channels", "legodnn.blocks.cutting"),
        *("legodnn.blocks.pruning", "legodnn.blocks.accuracy", "legodnn.blocks.training", "legodnn.blocks.export"),
        *("legodnn.blocks.jobs", "legodnn.blocks.importing.tflite"),
    ],
}


# Prepares Keras for every package of the offline stage, and imports none of them.
BACKEND = "legodnn.blocks._backend"


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name; the name of a folder stands for its `__init__`."""
    found = {}
    for folder in ("legodnn", *ROOMS):
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if relative.parts[0] == "legodnn" and relative.parts[1] in ROOMS:
                continue  # the links to the rooms
            parts = relative.with_suffix("").parts
            parts = parts if parts[0] == "legodnn" else ("legodnn", *parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of the package that a module imports anywhere in its text."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        if isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else node.module


MODULES = modules()
IMPORTS = {name: set(imports(name, path, MODULES)) - {name} for name, path in MODULES.items()}


def room(module: str) -> str:
    """Return the innermost folder that a module is in, as a dotted name."""
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def test_no_module_imports_itself_by_way_of_others() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as e:
        pytest.fail(" -> ".join(e.args[1]))


def test_rooms_import_only_what_stands_below_them() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others
        if room(module) in MAY_IMPORT
        and module != "legodnn.cli"
        and not (other == BACKEND and module.startswith("legodnn.blocks."))
        and room(other) not in (room(module), *MAY_IMPORT[room(module)])
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_imports_commands_and_the_offline_stage() -> None:
    for module, others in IMPORTS.items():
        for other in others:
            if other.startswith("legodnn.commands"):
                assert module == "legodnn.cli" or module.startswith("legodnn.commands"), f"{module} imports {other}"
            if other.startswith("legodnn.blocks"):
                assert module.startswith(("legodnn.blocks", "legodnn.commands")), f"{module} imports {other}"


def test_only_the_offline_stage_imports_keras_and_tensorflow() -> None:
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            heavy = [n for n in names if n.split(".")[0] in ("keras", "tensorflow")]
            assert not heavy or module.startswith("legodnn.blocks"), f"{module} imports {heavy}"


# The functions that every command module has to have; see `legodnn.commands`.
OF_COMMANDS = {"add_parser", "run"}


def public_names(path: Path) -> Iterator[str]:
    """Yield the names of classes, functions, constants and aliases that a module defines for others."""
    for node in ast.parse(path.read_text()).body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name
        yield from (t.id for t in targets if isinstance(t, ast.Name) and not t.id.startswith("_"))


def test_devices_do_not_import_masked_arrays_by_calling_what_does() -> None:
    """NumPy loads numpy.ma in these, half a megabyte that would count as memory of models (see `legodnn.arrays`)."""
    calls = re.compile(r"np\.(?:unique|median|percentile|quantile|nan(?:median|percentile|quantile)|ma)\b")
    found = [f"{path}: {call}" for path in ROOT.glob("runtime/**/*.py") for call in calls.findall(path.read_text())]
    assert not found


def test_a_public_name_means_one_thing() -> None:
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for name in public_names(path):
            if not (name in OF_COMMANDS and module.startswith("legodnn.commands.")):
                homes.setdefault(name, []).append(module)
    twice = {name: where for name, where in homes.items() if len(where) > 1 and name != "log"}
    assert not twice


@pytest.mark.parametrize("suffix", [".java", ".kt"])
def test_lines_of_java_and_kotlin_are_short(suffix: str) -> None:
    sources = list((ROOT / "android_demo").rglob(f"*/src/**/*{suffix}"))
    assert sources
    wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 120
    ]
    assert not wide


def test_modules_are_short() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert max(lengths.values()) <= 320, max(lengths, key=lengths.__getitem__)
    assert statistics.median(n for name, n in lengths.items() if MODULES[name].name != "__init__.py") <= 160


# Modules without a test module, and why.
COVERS = re.compile(r"Covers also: ([\w.*,\s]+)\.")


def mirrored(module: str) -> Path:
    """Return where the test module of a module would be if it had one of its own."""
    parts = module.split(".")[1:]
    rooms = parts[:-1] if parts[0] in ROOMS else ["legodnn", *parts[:-1]]
    return ROOT.joinpath("tests", *rooms, f"test_{parts[-1]}.py")


def covered(test: Path) -> list[str]:
    """Return the modules, and the rooms (with `.*`), that the docstring of a test module names as covered."""
    found = COVERS.search(ast.get_docstring(ast.parse(test.read_text())) or "")
    return [f"legodnn.{name.strip()}" for name in found[1].split(",")] if found else []


def test_every_module_has_its_test_module() -> None:
    """It is tests/ROOM/test_MODULE.py, or one whose docstring says: "Covers also: ROOM.MODULE, OTHER_ROOM.*."."""
    named = {name: test for test in (ROOT / "tests").rglob("test_*.py") for name in covered(test)}
    rooms = {room(module) for module in MODULES}
    unknown = {n: str(t) for n, t in named.items() if n not in MODULES and n.removesuffix(".*") not in rooms}
    assert not unknown, f"named as covered, and not there: {unknown}"
    modules = [m for m, path in MODULES.items() if path.name != "__init__.py"]
    tested = {m for m in modules if mirrored(m).exists() or m in named or f"{room(m)}.*" in named}
    untested = [m for m in modules if m not in tested]
    assert not untested, f"without a test module: {untested}"


IMPORT_LINE = re.compile(r"^\s*from (legodnn[\w.]*) import \(?([\w, ]+)", re.MULTILINE)


def written_names(path: Path) -> set[str]:
    """Return all names that occur in a module, and its texts, which lazy exports are named by."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def test_what_programs_in_texts_import_exists() -> None:
    """Programs that tests and benchmarks start are strings, and examples are in docs: no type checker reads either."""
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    files += [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    missing = [
        f"{path.relative_to(ROOT)}: {module}.{name}"
        for path in files
        for module, names in IMPORT_LINE.findall(path.read_text())
        for name in (each.split(" as ")[0].strip() for each in names.split(","))
        if name
        and f"{module}.{name}" not in MODULES
        and (module not in MODULES or name not in written_names(MODULES[module]))
    ]
    assert not missing, missing
