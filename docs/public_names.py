"""Write what an application may rely on, with signatures, so that a change of it is a line in a diff.

    python docs/public_names.py        # writes docs/public_names.txt; a test says when the code is no longer so

The names are those of docs/api.md, with their public members. Griffe reads the code without running it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "docs" / "public_names.txt"
_LISTED = re.compile(r"^\| `(legodnn[\w.]*)`", re.MULTILINE)


def public_names() -> str:
    """Return a line for each public name and member, sorted."""
    package = griffe.load("legodnn", search_paths=[ROOT])
    names = _public(package, (ROOT / "docs" / "api.md").read_text())
    lines = [line for name in names for line in _described(name, package[name.partition(".")[2]])]
    return "".join(f"{line}\n" for line in sorted(lines))


def broken_since(tag: str, root: Path = ROOT) -> list[str]:
    """Return what breaks code that relies on the public names of a tagged release, a line each, as Griffe finds it.

    Args:
        tag: the release, as git knows it.
        root: the repository; what is compared is its files, committed or not.
    """
    show = ("git", "show", f"{tag}:docs/api.md")
    page = subprocess.run(show, cwd=root, text=True, capture_output=True, check=True).stdout
    before = griffe.load_git("legodnn", ref=tag, repo=root, search_paths=["."])
    names = _public(before, page)
    homes = {before[name.partition(".")[2]].canonical_path for name in names}
    found = griffe.find_breaking_changes(before, griffe.load("legodnn", search_paths=[root], try_relative_path=False))
    return sorted(
        f"{broken.obj.path}: {broken.kind.value.lower()}{_change(broken)}"
        for broken in found
        if any(f"{broken.obj.path}.".startswith(f"{name}.") for name in names | homes)
    )


def _change(broken: griffe.Breakage) -> str:
    """Return the values before and after, of what has them."""
    values = [str(value) for value in (broken.old_value, broken.new_value) if value is not None]
    return "" if broken.kind is griffe.BreakageKind.OBJECT_REMOVED else f": {' -> '.join(values)}"


def _public(package: Any, page: str) -> set[str]:
    """Return the public names: those of a page like docs/api.md, and all errors."""
    errors = {f"legodnn.errors.{name}" for name, found in package["errors"].classes.items() if found.is_public}
    return {*_LISTED.findall(page), *errors}


def _described(name: str, found: Any) -> Iterator[str]:
    if found.is_function:
        yield f"{name}({', '.join(_parameters(found))}) -> {found.returns}"
    elif found.is_attribute:
        annotation = f": {found.annotation}" if found.annotation else ""
        # What __init__ assigns is no default.
        yield name + annotation + (f" = {found.value}" if found.value and "class-attribute" in found.labels else "")
    elif found.is_class:
        yield f"{name}({', '.join(str(base) for base in found.bases)})"
        for inner, member in found.all_members.items():
            if inner == "__init__" or not inner.startswith(("_", "model_config")):
                yield from _described(f"{name}.{inner}", member)


def _parameters(function: Any) -> Iterator[str]:
    """Yield the parameters as they are written, with the marks of those that are given by place or by name alone."""
    kinds, before = griffe.ParameterKind, None
    for parameter in function.parameters:
        if before is kinds.positional_only and parameter.kind is not before:
            yield "/"
        if parameter.kind is kinds.keyword_only and before not in (kinds.keyword_only, kinds.var_positional):
            yield "*"
        stars = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(parameter.kind, "")
        annotation = f": {parameter.annotation}" if parameter.annotation else ""
        default = f" = {parameter.default}" if parameter.default is not None and not stars else ""
        yield f"{stars}{parameter.name}{annotation}{default}"
        before = parameter.kind


if __name__ == "__main__":
    LIST.write_text(public_names())
