"""The store: the folder that the offline stage writes and a device reads.

`manifest.json` describes one model cut into segments (see `legodnn.manifest`), and there is one `.tflite` file for each
option. docs/store.md documents the format, which Python and Java read. A store is written once, as a whole, and never
changed.
"""

from __future__ import annotations

import os
from pathlib import Path

from legodnn.errors import StoreError
from legodnn.files import file_state, is_folder, read_regular, sha256_bytes, sha256_file
from legodnn.manifest import MANIFEST, STORE_VERSION, Manifest, Option
from legodnn.schema import MOST_BYTES_OF_DOCUMENT, parse_document, utf8_text

_REMEDY = "build the store again with `legodnn build`, or copy it again from where it was built"


class Store:
    """A store that has been opened and verified.

    Attributes:
        path: the folder, as it was given.
        folder: the same from the root on, wherever this process goes (`os.chdir`).
        manifest: the content of its manifest.json.
        id: the SHA-256 of manifest.json. It identifies the whole store, since the manifest holds every file's hash.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a store and verify every file's path, size and hash.

        Raises:
            StoreError: the folder is no store, or a file is missing, truncated, altered or outside of it.
        """
        self.path: Path = Path(path)
        if not is_folder(self.path):
            raise StoreError(f"{self.path} is not a folder; `legodnn build --help` shows how to build a store")
        self.folder: Path = self.path.absolute()
        file = self.path / MANIFEST
        if not os.path.lexists(file):
            raise StoreError(f"{self.path} is not a store: it has no {MANIFEST}; {_REMEDY}")
        content = read_regular(file, MOST_BYTES_OF_DOCUMENT, StoreError, _REMEDY, within=self.path)
        text = utf8_text(content, file, StoreError, _REMEDY)
        self.id: str = sha256_bytes(content)
        self.manifest: Manifest = parse_document(text, str(file), Manifest, STORE_VERSION, StoreError, _REMEDY)
        self._seen: dict[Option, tuple[int, ...]] = {}
        for segment in self.manifest.segments:
            for option in segment.options:
                self.verified_file(option)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.model.name

    def verified_file(self, option: Option) -> Path:
        """Return the path of an option's `.tflite`, which is hashed again if it changed since it was last verified.

        Raises:
            StoreError: the file is missing, outside the store, or not what the manifest says.
        """
        path = self.folder / option.file
        try:
            inside = path.resolve().is_relative_to(self.folder.resolve())
            if not inside or not path.is_file():
                problem = "is missing" if inside else "leads out of the store"
                raise StoreError(f"{path} {problem}; {_REMEDY}")
            status = path.stat()
            state = file_state(status)
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
        """Open an option's `.tflite` and return the file descriptor, which the caller closes.

        It is the very file that was verified: what takes its place on disk afterwards is not read.

        Raises:
            StoreError: as `verified_file`, or the file was replaced between the check and the opening.
        """
        path = self.verified_file(option)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise StoreError(f"cannot read {path}: {e.strerror}; {_REMEDY}") from None
        if file_state(os.fstat(fd)) != self._seen[option]:
            os.close(fd)
            raise StoreError(f"{path} was altered while it was opened; {_REMEDY}")
        return fd

    def __repr__(self) -> str:
        blocks = self.manifest.blocks
        options = sum(len(b.options) for b in blocks)
        return f"Store({self.name!r}, {len(blocks)} blocks, {options} options, {str(self.path)!r})"


def check_new_store(path: Path) -> None:
    """Check that there is nothing yet where a store is to be made.

    Raises:
        StoreError: there is something.
    """
    if path.exists():
        raise StoreError(f"{path} exists; remove it or choose another folder: a store is never changed in place")
