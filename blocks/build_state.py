"""The work folder of a build, beside the store-to-be: results stay there until the store is written, so that a build
can be killed at any moment and the same command goes on.

    NAME.work/
      recipe.json            the resolved recipe: another one is refused
      source.json            digests of the opened model and the data: others are refused
      lock                   held by the process that builds
      jobs.json              how training is divided
      original.npz           weights of the original, where it was trained here
      block1.npz ...         the finished descendants of a block
      joint.npz              weights of all descendants after training in compositions
      *.state.npz            the last checkpoint of a training that is not finished
      left_out.json          options that cannot be made, and why
      files/block1/s0.4.tflite ...
      evaluated-....json     accuracy of compositions evaluated so far, by a digest of the metric's code

A build that ends before it has finished anything, as when it is refused, leaves no folder.

Every file is written beside its place and renamed, so it is whole or absent. In .npz files arrays are nested in dicts
and lists (`array_tree`).
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import Self

from legodnn.array_files import read_arrays, write_arrays
from legodnn.blocks.array_tree import ArrayTree, flatten, unflatten
from legodnn.errors import StoreError
from legodnn.files import write_atomic
from legodnn.recipe import Recipe
from legodnn.schema import to_json

# What the folder holds before anything is finished.
_BEGUN = {"recipe.json", "source.json", "jobs.json", "lock"}

_REMEDY = "remove it and run the same command again"


class BuildState:
    """The work folder of one build.

    Attributes:
        path: the folder, NAME.work beside the store NAME.
        recipe: what is being built.
        fresh: whether there was no such folder before.
    """

    def __init__(self, store: Path, recipe: Recipe) -> None:
        """Make the folder, or open the one that an unfinished build has left.

        Args:
            store: the path of the store that is built.
            recipe: what is built.

        Raises:
            StoreError: the folder belongs to a build of another recipe, or its recipe is damaged.
        """
        self.path = store.with_name(f"{store.name}.work")
        self.recipe = recipe
        self._store = store
        file, text = self.path / "recipe.json", to_json(recipe)
        self.fresh = not file.exists()
        if self.fresh:
            write_atomic(file, text)
        elif (found := file.read_bytes()) != text.encode():
            try:
                json.loads(found)
            except ValueError:  # no UTF-8 either
                raise StoreError(f"{file} is damaged; remove {self.path} and build again") from None
            old, new = (t.splitlines() for t in (found.decode(errors="replace"), text))
            other = next((a.strip() for a, b in zip(old, new, strict=False) if a != b), "another version's")
            raise StoreError(
                f"{self.path} holds an unfinished build of another recipe ({other}); finish it with that recipe, or "
                "remove the folder"
            )

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Open the work folder at this path, which another process has made.

        Raises:
            StoreError: it is no work folder, or its recipe is damaged.
        """
        folder = folder.resolve()
        file = folder / "recipe.json"
        if folder.suffix != ".work":
            raise StoreError(f"{folder} is not the work folder of a build, which is called STORE.work")
        try:
            recipe = Recipe.model_validate_json(file.read_bytes())
        except OSError as e:
            raise StoreError(f"cannot read {file}: {e.strerror}; give the work folder of a build, STORE.work") from None
        except ValidationError:
            raise StoreError(f"{file} is damaged; remove {folder} and build again") from None
        return cls(folder.with_name(folder.name.removesuffix(".work")), recipe)

    def __enter__(self) -> Self:
        """Lock the folder against other builds; StoreError if one is running, or has finished the store meanwhile."""
        if not (self.path / "recipe.json").exists():  # another process left nothing and took it away
            write_atomic(self.path / "recipe.json", to_json(self.recipe))
        self._lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise StoreError(f"{self.path}: another process is building this store; wait for it") from None
        if self._store.exists():
            self.__exit__()
            raise StoreError(f"{self._store} has appeared in the meantime; {_REMEDY}")
        return self

    def __exit__(self, *_: object) -> None:
        if self.path.exists() and {entry.name for entry in self.path.iterdir()} <= _BEGUN:
            self.remove()  # nothing is lost, and what is asked for next may be something else
        self._lock.close()

    def remove(self) -> None:
        """Remove the folder, once the store is written or where nothing is finished."""
        shutil.rmtree(self.path)

    def check_source(self, digests: Mapping[str, str]) -> None:
        """Keep the digests of what is built from; a later process of this build must come with the same ones.

        Args:
            digests: of the opened model and of the data, by what messages call them.

        Raises:
            StoreError: what the folder holds was made from something else, or the file is damaged.
        """
        file = self.path / "source.json"
        if not file.exists():
            write_atomic(file, json.dumps(dict(digests)) + "\n")
            return
        found = self._read_texts(file)
        if other := [what for what in digests if found.get(what) != digests[what]]:
            raise StoreError(
                f"{self.path} holds an unfinished build of another {' and '.join(other)} under the same name; put back "
                "what it was begun with, or remove the folder"
            )

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the arrays that were written under this name, None if there are none yet.

        Raises:
            StoreError: the file is damaged.
        """
        return _read(self._file(name))

    def write(self, name: str, arrays: ArrayTree) -> None:
        """Write arrays under a name, in place of what was there."""
        write_arrays(self._file(name), flatten(arrays))

    def left_out(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return why options are left out of the store, by 'segment/option'.

        Args:
            found: the reasons that this process has found. They are kept, and returned, unless an earlier process of
                this build kept its own.

        Raises:
            StoreError: the file is damaged.
        """
        file = self.path / "left_out.json"
        if not file.exists():
            self.leave_out(found)
        return self._read_texts(file)

    def _read_texts(self, file: Path) -> dict[str, str]:
        """Return the texts by name that a file of the folder holds; StoreError if it is damaged."""
        try:
            return TypeAdapter(dict[str, str]).validate_json(file.read_bytes(), strict=True)
        except ValidationError:
            raise StoreError(f"{file} is damaged; remove {self.path} and build again") from None

    def leave_out(self, found: Mapping[str, str]) -> None:
        """Write down why options are left out, by 'segment/option'."""
        write_atomic(self.path / "left_out.json", json.dumps(found) + "\n")

    def checkpoint(self, name: str) -> Checkpoint:
        """Return the checkpoint of the training of this name."""
        return Checkpoint(self._file(f"{name}.state"))

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.npz"


class Checkpoint:
    """The file that a running training saves its state in.

    Attributes:
        path: the file; without one nothing is saved.
    """

    def __init__(self, path: Path | None = None, every_s: float = 60.0) -> None:
        """Set up a checkpoint that is due every `every_s` seconds."""
        self.path, self._every_s = path, every_s
        self._last = time.monotonic()

    def read(self) -> dict[str, Any] | None:
        """Return the state that was saved last, None if there is none.

        Raises:
            StoreError: the file is damaged.
        """
        return _read(self.path) if self.path else None

    @property
    def due(self) -> bool:
        """Whether it is time to save again."""
        return self.path is not None and time.monotonic() - self._last >= self._every_s

    def write(self, state: ArrayTree) -> None:
        """Save the state."""
        if self.path:
            write_arrays(self.path, flatten(state))
            self._last = time.monotonic()

    def discard(self) -> None:
        """Remove the file, once the result of the training is saved elsewhere."""
        if self.path:
            self.path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    arrays = read_arrays(path, StoreError, _REMEDY)
    try:
        return unflatten(arrays)
    except ValueError as e:
        raise StoreError(f"cannot read {path}: {e}; {_REMEDY}") from None
