"""What has to be the same on all machines that work on one build: their results are put together in one store."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import legodnn

_PACKAGES = ("tensorflow", "keras", "numpy")


@functools.cache
def versions_here() -> dict[str, str]:
    """Return the versions of Python, of this package and of what it computes with; 'none' where one is missing."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "legodnn": f"{_version('legodnn')} ({_digest()})"}
    return {**found, **{name: _version(name) for name in _PACKAGES}}


def difference(where: str, theirs: Mapping[str, str] | None, ours: Mapping[str, str]) -> str | None:
    """Return what is wrong with the packages of a machine, with the remedy; None if nothing is.

    Args:
        where: what the machine is called.
        theirs: its versions; None if it has no legodnn at all.
        ours: the versions here.

    >>> difference("10.0.0.3", {"keras": "3.11.0"}, {"keras": "3.12.0"})
    '10.0.0.3 has keras 3.11.0, and 3.12.0 is here: install the same on all machines'
    """
    if theirs is None:
        return f"{where} has no legodnn: install the same wheel there, pip install 'legodnn-....whl[train,cluster]'"
    for name, version in ours.items():
        if theirs.get(name, "none") != version:
            other = theirs.get(name, "none")
            return f"{where} has {name} {other}, and {version} is here: install the same on all machines"
    return None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _digest() -> str:
    """Return a short digest of this package's code, since one version may stand for several states of a checkout."""
    found = hashlib.sha256()
    top = Path(legodnn.__file__).parent
    for folder, folders, files in os.walk(top, followlinks=True):  # links lead to the rooms in a checkout
        folders.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                path = Path(folder) / name
                found.update(f"{path.relative_to(top)}\0".encode())
                found.update(path.read_bytes())
    return found.hexdigest()[:8]
