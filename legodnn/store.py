"""The store: the folder that the offline stage writes and a device reads.

`manifest.json` describes one model cut into segments; beside it lies one `.tflite` file per option. The format is
documented in docs/store.md and is read by Python and by Java. A store is written once, whole, and never changed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from legodnn.errors import StoreError
from legodnn.files import is_folder, read_regular, sha256_file
from legodnn.manifest import MANIFEST, STORE_VERSION, Manifest, Option
from legodnn.schema import (
    MOST_BYTES_OF_DOCUMENT,
    decode,
    parse_document,
)

_REMEDY = "build the store again with `legodnn build`, or copy it again from where it was built"


class Store:
    """A store that has been opened and verified.

    Attributes:
        path: the folder.
        manifest: its manifest.
        id: SHA-256 of manifest.json; since that holds the hash of every file, it identifies the whole store.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a store and verify every file's path, size and hash.

        Raises:
            StoreError: the folder is no store, or any file is missing, truncated, altered or outside it.
        """
        self.path = Path(path)
        if not is_folder(self.path):
            raise StoreError(f"{self.path} is not a folder; `legodnn build --help` shows how to build a store")
        file = self.path / MANIFEST
        if not os.path.lexists(file):
            raise StoreError(f"{self.path} is not a store: it has no {MANIFEST}; {_REMEDY}")
        content = read_regular(file, MOST_BYTES_OF_DOCUMENT, StoreError, _REMEDY, within=self.path)
        text = decode(content, file, StoreError, _REMEDY)
        self.id = hashlib.sha256(content).hexdigest()
        self.manifest = parse_document(text, str(file), Manifest, STORE_VERSION, StoreError, _REMEDY)
        self._seen: dict[Option, tuple[int, ...]] = {}
        for segment in self.manifest.segments:
            for option in segment.options:
                self.verified_file(option)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.model.name

    def verified_file(self, option: Option) -> Path:
        """The path of an option's `.tflite`, hashed again if it changed on disk since it was last verified.

        Raises:
            StoreError: missing, outside the store, or not what the manifest says.
        """
        path = self.path / option.file
        try:
            inside = path.resolve().is_relative_to(self.path.resolve())
            if not inside or not path.is_file():
                problem = "is missing" if inside else "leads out of the store"
                raise StoreError(f"{path} {problem}; {_REMEDY}")
            status = path.stat()
            state = _state(status)
            if self._seen.get(option) == state:
                return path
            if status.st_size != option.bytes:
                raise StoreError(f"{path} has {status.st_size} bytes instead of {option.bytes}; {_REMEDY}")
            if sha256_file(path) != option.sha256:
                raise StoreError(f"{path} does not have the hash in {MANIFEST}: it was altered; {_REMEDY}")
        except (OSError, RuntimeError) as e:  # pathlib reports a loop of symbolic links as RuntimeError
            raise StoreError(f"cannot read {path}: {getattr(e, 'strerror', None) or e}; {_REMEDY}") from None
        self._seen[option] = state
        return path

    def open_file(self, option: Option) -> int:
        """A descriptor of an option's `.tflite`, to be read and closed: of the very file that was verified, whatever
        takes its place meanwhile.

        Raises:
            StoreError: as `verified_file`.
        """
        path = self.verified_file(option)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise StoreError(f"cannot read {path}: {e.strerror}; {_REMEDY}") from None
        if _state(os.fstat(fd)) != self._seen[option]:
            os.close(fd)
            raise StoreError(f"{path} was altered while it was opened; {_REMEDY}")
        return fd

    def __repr__(self) -> str:
        blocks = self.manifest.blocks
        options = sum(len(b.options) for b in blocks)
        return f"Store({self.name!r}, {len(blocks)} blocks, {options} options, {str(self.path)!r})"


def _state(status: os.stat_result) -> tuple[int, ...]:
    """What changes when another file takes a file's place or its content is changed; times of change cannot be set."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
