"""Everything that a release has to hold beyond `.ci/run`. What is released lies in dist/ afterwards.

    make release-check                             # all of it
    python .ci/release_check.py types lowest       # some of it

The checks run tools in an environment of their own (build/release/tools, from the extra `release`), on the wheel that
this commit gives, installed in others. Each says in a line what it found; the first that fails ends the run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.pythons import SUPPORTED, interpreters  # noqa: E402

WORK = ROOT / "build" / "release"
DIST = ROOT / "dist"
TOOLS = WORK / "tools" / "bin"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Pyroma gives the last two of its ten points for an author's e-mail address, which this project does not have yet.
LEAST_RATING = 8
# `legodnn --help` takes no more processor time than this, a start of Python included.
MOST_START_MS = 150
# Beside those that pyproject.toml names, the Python that devices may have.
ON_DEVICES = (*SUPPORTED, "3.14")


class Failed(Exception):
    """A check does not hold."""


def run(*command: object, cwd: Path = ROOT) -> str:
    """Run a program, and return what it prints.

    Raises:
        Failed: its exit status is not 0.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise Failed(f"{done.stdout}\n{' '.join(words)} ended with {done.returncode}")
    return done.stdout


def build() -> str:
    """Install the tools where they are not those of the extra yet, and build what is released."""
    wanted, stamp = PYPROJECT["project"]["optional-dependencies"]["release"], TOOLS.parent / "made-for"
    if not stamp.exists() or stamp.read_text() != str(wanted):
        shutil.rmtree(TOOLS.parent, ignore_errors=True)
        venv.create(TOOLS.parent, with_pip=True)
        run(TOOLS / "python", "-m", "pip", "install", "-q", *wanted)
        stamp.write_text(str(wanted))
    shutil.rmtree(DIST, ignore_errors=True)
    run(TOOLS / "python", "-m", "build", "--outdir", DIST)
    return f"{_sdist().name}, {_wheel().name}"


def same_bytes() -> str:
    """A copy of the files, in another folder and of another time, gives the same sdist and wheel."""
    copy, out = WORK / "copy", WORK / "again"
    for folder in (copy, out):
        shutil.rmtree(folder, ignore_errors=True)
    for name in run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and os.path.lexists(ROOT / name):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name, follow_symlinks=False)
    run(TOOLS / "python", "-m", "build", "--outdir", out, cwd=copy)
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(DIST.iterdir())}
    for path in out.iterdir():
        if hashlib.sha256(path.read_bytes()).hexdigest() != sums[path.name]:
            raise Failed(f"{path} and {DIST / path.name} differ")
    (DIST / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    return ", ".join(f"{name} {digest[:12]}" for name, digest in sums.items())


def metadata() -> str:
    """Registries take the files, and the wheel holds what it should."""
    run(TOOLS / "twine", "check", "--strict", _wheel(), _sdist())
    run(TOOLS / "check-wheel-contents", _wheel())
    rating = re.search(r"Final rating: (\d+)/10", run(TOOLS / "pyroma", "-n", LEAST_RATING, _sdist()))
    assert rating is not None
    return f"twine, check-wheel-contents, pyroma {rating[1]}/10"


def types() -> str:
    """Every public name has a type that type checkers agree on; `docs/api.md` lists the names."""
    _environment("typed", sys.executable, "--extra", "images")
    tool = (TOOLS / "basedpyright", "--verifytypes", "legodnn", "--ignoreexternal", "--outputjson")
    path = f"{WORK / 'typed' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        tool, cwd=WORK, env=os.environ | {"VIRTUAL_ENV": str(WORK / "typed"), "PATH": path}, stdout=subprocess.PIPE
    )
    report = json.loads(done.stdout)["typeCompleteness"]
    public = public_names()
    symbols = [s for s in report["symbols"] if _of(s["name"], public)]
    wrong = [
        f"{symbol['name']}: {found['message']}"
        for symbol in symbols
        if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]
        for found in symbol["diagnostics"] or [{"message": "a type that it uses is not known"}]
    ]
    if wrong or not symbols:
        raise Failed("\n".join(wrong) or "basedpyright found no public name")
    return f"{len(symbols)} symbols of the public names known; of all {report['completenessScore']:.1%}"


def public_names() -> set[str]:
    """Return the names that docs/api.md lists, such as legodnn.Runtime, and where each is defined."""
    listed = set(re.findall(r"^\| `(legodnn[\w.]*)`", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE))
    ask = (
        "import importlib, sys\n"
        "from legodnn.errors import DependencyError\n"
        "for name in sys.argv[1:]:\n"
        "    package, _, last = name.rpartition('.')\n"
        "    module = importlib.import_module(package)\n"
        "    try:\n"
        "        home = getattr(getattr(module, last), '__module__', package)\n"
        "    except DependencyError:\n"  # of the offline stage, which needs Keras
        "        home = module._HOME[last]\n"
        "    print(name, f'{home}.{last}')\n"
    )
    return {*run(WORK / "typed" / "bin" / "python", "-c", ask, *sorted(listed), cwd=WORK).split()}


def names() -> str:
    """Code that relies on the public names of the last release works with this one, unless its major version grows."""
    from docs.public_names import broken_since

    tag = subprocess.run(
        ("git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"), cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    if not tag:
        return "no release is tagged yet (v0.1.0, say), so that there is none to compare with"
    broken, before, now = broken_since(tag), tag.removeprefix("v").split(".")[0], PYPROJECT["project"]["version"]
    if broken and before != "0" and now.split(".")[0] == before:
        raise Failed("\n".join([*broken, f"break code that was written for {tag}; docs/api.md says when they may"]))
    return "; ".join([f"since {tag}, of what breaks code: {len(broken)}", *broken])


def start() -> str:
    """`legodnn --help` is there at once: processor time, which others on the machine do not add to, beside Python's."""
    _environment("newest", sys.executable)
    programs = WORK / "newest" / "bin"
    commands = {
        "legodnn --help": (programs / "legodnn", "--help"),
        "python -c pass": (programs / "python", "-c", "pass"),
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(20):
        for name, command in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run(*command)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken[name].append(1e3 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime))
    found = {name: statistics.median(times) for name, times in taken.items()}
    told = ", ".join(f"{name} {ms:.0f} ms" for name, ms in found.items())
    if found["legodnn --help"] > MOST_START_MS:
        raise Failed(f"{told}; {MOST_START_MS} ms are the most")
    return told


def examples() -> str:
    """All of examples/, the notebook and the tutorial run, those too that `make test` leaves out: they take long."""
    programs = ("tests/test_example_programs.py", "tests/test_tutorial.py")
    told = run(sys.executable, "-m", "pytest", "-q", "-rs", "-m", "not data", *programs)
    return told.rstrip().splitlines()[-1].strip("= ")


def bill_of_materials() -> str:
    """What a device gets by `pip install`, in CycloneDX's format, beside the wheel."""
    _environment("newest", sys.executable)
    path = DIST / f"{_wheel().stem}.cdx.json"
    python = WORK / "newest" / "bin" / "python"
    metadata_of = ("--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--output-file", path)
    run(TOOLS / "cyclonedx-py", "environment", *metadata_of, python)
    return f"{path.name}: {len(json.loads(path.read_text())['components'])} packages"


def wheels() -> str:
    """What a device needs, to serve too, has wheels for x86-64 and 64-bit ARM, and for the Python after the last."""
    for machine in ("x86_64", "aarch64"):
        for python in ON_DEVICES:
            target = ("--python-platform", f"{machine}-manylinux_2_31", "--python-version", python)
            needed = ("--extra", "serve", ROOT / "pyproject.toml")
            run(TOOLS / "uv", "pip", "compile", "-q", "--only-binary", ":all:", *target, *needed)
    return "x86-64 and aarch64, Python 3.10 to 3.14"


def lowest() -> str:
    """The lowest versions that pyproject.toml allows are enough on a device, on every Python that is here."""
    here = interpreters(ON_DEVICES)
    for version, python in here.items():
        _environment(f"lowest-{version}", python, "--resolution", "lowest-direct")
        low = WORK / f"lowest-{version}" / "bin" / "python"
        run(TOOLS / "uv", "pip", "install", "-q", "--python", low, "pytest", "pytest-timeout", "hypothesis")
        run(low, "-m", "pytest", "-q", "-p", "no:cacheprovider", *LOWEST_TESTS)
    missing = [version for version in ON_DEVICES if version not in here]
    return f"tests on Python {', '.join(here)}" + (f"; not here: {', '.join(missing)}" if missing else "")


# Of what `.ci/device` runs, what meets the packages that may be old: documents, arrays, models that are opened and run.
LOWEST_TESTS = (
    *(f"tests/legodnn/test_{name}.py" for name in ("store", "profile", "workload", "plan", "schema", "array_files")),
    *("tests/runtime/test_runtime.py", "tests/runtime/executors/test_interpreter.py"),
)


def site() -> str:
    """The pages build, and their links lead to pages, headings and files of the site; MkDocs lets some others pass."""
    run("make", "docs")
    folder = ROOT / "build" / "site"
    pages = {page: page.read_text() for page in folder.rglob("*.html") if page.name != "404.html"}
    broken, count = [], 0
    for page, text in pages.items():
        for link in set(re.findall(r'(?:href|src)="?([^" >]+)', text)):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            anchor = re.escape(unquote(parts.fragment))
            if not target.exists() or (anchor and not re.search(f'id="?{anchor}[" >]', pages.get(target, ""))):
                broken.append(f"{page.relative_to(folder)} links to {link}")
    if broken:
        raise Failed("\n".join(sorted(broken)))
    return f"{len(pages)} pages, {count} links among them"


def _environment(name: str, python: str, *how: str) -> None:
    """Make an environment with the wheel and what it needs; an earlier one of this run is kept."""
    stamp = WORK / name / "made-for"
    made_for = hashlib.sha256(_wheel().read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == made_for:
        return
    run(TOOLS / "uv", "venv", "-q", "--clear", "--python", python, WORK / name)
    into = ("-q", "--python", WORK / name / "bin" / "python")
    run(TOOLS / "uv", "pip", "install", *into, "--only-binary", ":all:", *how, "-r", ROOT / "pyproject.toml")
    run(TOOLS / "uv", "pip", "install", *into, "--no-deps", _wheel())
    stamp.write_text(made_for)


def _wheel() -> Path:
    return next(DIST.glob("*.whl"))


def _sdist() -> Path:
    return next(DIST.glob("*.tar.gz"))


def _of(name: str, public: set[str]) -> bool:
    """Return whether a symbol is one of the names, or belongs to one."""
    parts = name.split(".")
    return any(".".join(parts[:n]) in public for n in range(2, len(parts) + 1))


CHECKS: dict[str, Callable[[], str]] = {
    "same-bytes": same_bytes,
    "metadata": metadata,
    "types": types,
    "names": names,
    "start": start,
    "bill-of-materials": bill_of_materials,
    "wheels": wheels,
    "site": site,
    "lowest": lowest,
    "examples": examples,
}


def main() -> int:
    """Run the checks that are named, or all."""
    named = sys.argv[1:] or list(CHECKS)
    if unknown := [name for name in named if name not in CHECKS]:
        print(f"no check {', '.join(unknown)}; there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    for name, check in {"build": build, **{name: CHECKS[name] for name in named}}.items():
        start = time.monotonic()
        try:
            found = check()
        except Failed as e:
            print(f"FAILED  {name}\n{e}", file=sys.stderr)
            return 1
        print(f"ok  {name:<18} {time.monotonic() - start:5.0f} s  {found}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
