"""The work folder of a build, beside the store-to-be: what is finished stays there, so that a build can be killed at
any moment and the same command goes on.

    NAME.work/
      recipe.json            the resolved recipe: another one is refused
      lock                   held by the process that builds
      jobs.json              how training is divided
      original.npz           weights of the original, where it was trained here
      block1.npz ...         the finished descendants of a block
      *.state.npz            training that runs: as of the last checkpoint
      left_out.json          options that cannot be made, and why
      files/block1/s0.4.tflite ...
      evaluated.json         accuracy of compositions evaluated so far

Every file is written beside its place and renamed, so it is whole or absent.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from typing_extensions import Self

from legodnn.array_files import read_arrays, write_arrays
from legodnn.errors import StoreError
from legodnn.files import write_atomic
from legodnn.recipe import Recipe
from legodnn.schema import to_json

Arrays = Mapping[str, NDArray[Any]]


class BuildState:
    """The work folder of one build.

    Attributes:
        path: the folder, NAME.work beside the store NAME.
        recipe: what is being built.
        fresh: nothing was there yet.
    """

    def __init__(self, store: Path, recipe: Recipe) -> None:
        """Make the folder, or go on with what is there.

        Raises:
            StoreError: it belongs to a build of another recipe.
        """
        self.path = store.with_name(f"{store.name}.work")
        self.recipe = recipe
        file, text = self.path / "recipe.json", to_json(recipe)
        self.fresh = not file.exists()
        if file.exists() and (found := file.read_text(encoding="utf-8")) != text:
            old, new = (t.splitlines() for t in (found, text))
            other = next((a.strip() for a, b in zip(old, new, strict=False) if a != b), "another version's")
            raise StoreError(
                f"{self.path} holds an unfinished build of another recipe ({other}); finish it with that recipe, or "
                "remove the folder"
            )
        if not file.exists():
            write_atomic(file, text)

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The work folder at this path, as another process finds it."""
        recipe = Recipe.model_validate_json((folder / "recipe.json").read_text(encoding="utf-8"))
        return cls(folder.with_name(folder.name.removesuffix(".work")), recipe)

    def __enter__(self) -> Self:
        """Keep other builds out: StoreError if one is running."""
        self._lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise StoreError(f"{self.path}: another process is building this store; wait for it") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def remove(self) -> None:
        """Remove the folder; the store stands."""
        shutil.rmtree(self.path)

    def read(self, name: str) -> Arrays | None:
        """The arrays saved under this name, None if there are none yet; StoreError if the file is damaged."""
        return _read(self._file(name))

    def write(self, name: str, arrays: Arrays) -> None:
        """Save arrays under a name, in place of what was there."""
        write_arrays(self._file(name), arrays)

    def left_out(self, found: Mapping[str, str]) -> dict[str, str]:
        """Why options are left out, by 'segment/option': as this build found when it began, or what is `found` now."""
        file = self.path / "left_out.json"
        if not file.exists():
            self.leave_out(found)
        try:
            return TypeAdapter(dict[str, str]).validate_json(file.read_bytes(), strict=True)
        except ValidationError:
            raise StoreError(f"{file} is damaged; remove {self.path} and build again") from None

    def leave_out(self, found: Mapping[str, str]) -> None:
        """Keep why options are left out."""
        write_atomic(self.path / "left_out.json", json.dumps(found) + "\n")

    def checkpoint(self, name: str) -> Checkpoint:
        """Where the training of this name is saved."""
        return Checkpoint(self._file(f"{name}.state"))

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.npz"


class Checkpoint:
    """The file that running training saves its state in, at most every `every_s` seconds; without a path, nowhere."""

    def __init__(self, path: Path | None = None, every_s: float = 60.0) -> None:
        self._path, self._every_s = path, every_s
        self._last = time.monotonic()

    def read(self) -> Arrays | None:
        """The state last saved; StoreError if the file is damaged."""
        return _read(self._path) if self._path else None

    @property
    def due(self) -> bool:
        """Whether it is time to save again."""
        return self._path is not None and time.monotonic() - self._last >= self._every_s

    def write(self, state: Arrays) -> None:
        """Save the state."""
        if self._path:
            write_arrays(self._path, state)
            self._last = time.monotonic()

    def discard(self) -> None:
        """Training is finished and its result saved elsewhere."""
        if self._path:
            self._path.unlink(missing_ok=True)


def _read(path: Path) -> Arrays | None:
    return read_arrays(path, StoreError, "remove it and run the same command again") if path.exists() else None
