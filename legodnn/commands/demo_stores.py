"""The stores of `legodnn demo`: each is opened if it is there, or built; all but one by processes beside this one.

A build of a small network spends much of its time in Python, which traces and converts graphs on one processor. So two
builds at a time leave less of two processors idle than one after the other.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from legodnn.console import progress, say
from legodnn.errors import LegoError, StoreError
from legodnn.files import write_atomic
from legodnn.processes import start_module
from legodnn.runtime.device.allowance import usable_processors
from legodnn.store import Store

if TYPE_CHECKING:
    from legodnn.recipe import Recipe

log = logging.getLogger("legodnn.commands")


def demo_stores(folder: Path, recipes: Sequence[Recipe], side_by_side: bool) -> list[Store]:
    """Return a store for each recipe, in this folder, under the recipe's name.

    Args:
        folder: where the stores are or will be.
        recipes: what to build where there is no store yet.
        side_by_side: whether stores are built at the same time: the last here, the others by processes of their own.

    Raises:
        StoreError: a store there is damaged, or was built by another recipe.
        LegoError: a build failed; one beside this process has said why.
    """
    missing = [recipe for recipe in recipes if not (folder / recipe.name).exists()]
    beside = missing[:-1] if side_by_side else []
    with ExitStack() as builds:
        for recipe in beside:
            builds.enter_context(built_beside(folder / recipe.name, recipe))
        here = {r.name: _store(folder / r.name, r) for r in recipes if r not in beside}
    return [here.get(recipe.name) or Store(folder / recipe.name) for recipe in recipes]


def _store(path: Path, recipe: Recipe) -> Store:
    if not path.exists():
        from legodnn.blocks import build

        return build(recipe, path, progress=progress())
    store = Store(path)
    if store.manifest.built.recipe != recipe.model_dump(mode="json"):
        raise StoreError(f"{path} was built by another recipe; remove it or choose another folder with --out")
    log.info("using the store %s", path)
    return store


def recipe_document(recipe: Recipe) -> str:
    """Return a recipe of plain values as the TOML document that `legodnn build --recipe` reads."""
    fields = recipe.model_dump(mode="json", exclude_defaults=True)
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())


@contextmanager
def built_beside(path: Path, recipe: Recipe) -> Iterator[None]:
    """Have a process build a store while the `with` block runs; then wait for it, and show what it has told.

    The recipe is written to a file beside the store, from which `legodnn build` makes the same one.

    Raises:
        LegoError: the build failed, and has said why.
    """
    file = path.with_suffix(".toml")
    write_atomic(file, recipe_document(recipe))
    threads = str(max(1, usable_processors() // 2))
    with tempfile.TemporaryFile("w+") as told:
        log.info("%s is built at the same time by another process, which is heard when it is done", path)
        with start_module(
            "legodnn",
            *("build", "--recipe", str(file), "--out", str(path)),
            environment={"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads},
            stdout=subprocess.DEVNULL,
            stderr=told,
        ) as process:
            try:
                yield
                log.info("waiting for %s", path)
                process.wait()
            finally:
                process.kill()  # which does nothing where it has ended
        told.seek(0)
        say(told.read().rstrip(), sys.stderr)
    if process.returncode:
        raise LegoError(f"building {path} failed with status {process.returncode}; see the message above")
