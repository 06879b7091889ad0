"""Reading regular files of bounded size, writing files and folders atomically, and hashing.

A crash while something is written leaves the old content or the new, never a part of either.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from legodnn.errors import LegoError, WriteError

_LONGEST_NAME = 60  # characters of a file or folder that is called by a name


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_state(status: os.stat_result) -> tuple[int, ...]:
    """Return what differs when a file was changed or replaced; unlike the modification time, ctime cannot be set."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def is_folder(path: Path) -> bool:
    """Return whether a folder is there; False where the path cannot be looked up, for want of permission, say."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def with_home(path: str) -> str:
    """Return a path with the user's home in place of a ~ that it begins with; as it is where no home is known.

    Shells do that at the beginning of a word alone: not in --out=~/x, NAME=~/x or images:~/x, nor in files.
    """
    return os.path.expanduser(path)  # noqa: PTH111  (a Path would change addresses, and fail without a home)


def is_file(path: Path) -> bool:
    """Return whether a file is there; False where the path cannot be looked up."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def safe_file_names(names: Sequence[str]) -> list[str]:
    """Return a name for the file or folder of each of some names, which may be any texts, as those of models may.

    Every file system and Android's tools take them, none leads out of its folder, and no two are of one file, even
    where case does not count.

    >>> safe_file_names(["faces", "../faces", "Faces", ".."])
    ['faces', '-faces', 'Faces-2', 'model']
    """
    found: list[str] = []
    for text in names:
        base = name = re.sub(r"[^A-Za-z0-9._-]", "-", text)[:_LONGEST_NAME].strip("._") or "model"
        number = 1
        while name.lower() in (other.lower() for other in found):
            number += 1
            name = f"{base}-{number}"
        found.append(name)
    return found


def real_name(path: Path) -> str:
    """Return the name of what a path leads to; of one that leads nowhere its own, since opening it tells."""
    try:
        return path.resolve().name
    except (OSError, ValueError, RuntimeError):  # no current folder; NUL in a path; a loop of links
        return path.name


@contextmanager
def open_regular(path: Path, error: type[LegoError], remedy: str, within: Path | None = None) -> Iterator[BinaryIO]:
    """Open a regular file for reading, and never wait for a pipe.

    Args:
        path: the file.
        error: the type of error to raise.
        remedy: the end of its message, which says what the user can do.
        within: the folder that the file must lie in when all symbolic links are followed; None allows any place.

    Raises:
        error: the file cannot be opened, is a folder, pipe or device, or lies outside `within`.
    """
    try:
        if within is not None:
            real = path.resolve()
            if not real.is_relative_to(within.resolve()):
                raise error(f"{path} leads out of {within}; {remedy}")
            path = real
        # Without O_NONBLOCK, opening a pipe waits until somebody writes into it.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        mode = os.fstat(fd).st_mode
    except (OSError, ValueError, RuntimeError) as e:  # ValueError: NUL in a path; RuntimeError: a loop of links
        raise error(f"cannot read {path}: {getattr(e, 'strerror', None) or e}; {remedy}") from None
    try:
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise error(f"cannot read {path}: it is {kind}, not a file; {remedy}")
        with os.fdopen(fd, "rb", closefd=False) as f:
            yield f
    finally:
        os.close(fd)


def read_regular(path: Path, most: int, error: type[LegoError], remedy: str, within: Path | None = None) -> bytes:
    """Return the content of a regular file of at most `most` bytes; the other arguments are those of `open_regular`.

    Raises:
        error: as `open_regular`, or the file is larger.
    """
    with open_regular(path, error, remedy, within) as f:
        size = os.fstat(f.fileno()).st_size
        try:
            content = b"" if size > most else f.read(most + 1)  # /proc gives size 0 for files with content
        except OSError as e:
            raise error(f"cannot read {path}: {e.strerror or e}; {remedy}") from None
    if max(size, len(content)) > most:
        raise error(f"{path} has {max(size, len(content)):,} bytes or more, at most {most:,} are read; {remedy}")
    return content


def check_writable(path: Path, flag: str) -> None:
    """Check that a file can be written, before the work is done whose result goes there. Nothing is left behind.

    Args:
        path: the file; it may exist, and folders around it need not.
        flag: the flag that names it, such as "--out".

    Raises:
        WriteError: there is a folder, pipe or device at `path`, or its folder cannot be made or written to.
    """
    with _writing(path, f"name another place with {flag}"):
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(mode):
                raise OSError("it is a pipe or a device, not a file")
        _try_folder(path.parent)


def check_folder(folder: Path, flag: str) -> None:
    """Check as `check_writable` does that files or folders can be made in a folder, which need not exist.

    Raises:
        WriteError: there is something else than a folder, or it cannot be made or written to.
    """
    with _writing(folder, f"name another place with {flag}"):
        _try_folder(folder)


def _try_folder(folder: Path) -> None:
    """Make a file without a name in a folder, or in the nearest one around it that is there."""
    with suppress(FileNotFoundError):
        folder.lstat()  # tells of files among its parents, and of names that are too long
    while not os.path.lexists(folder):
        folder = folder.parent
    tempfile.TemporaryFile(dir=folder).close()


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, and those around it that are missing, unless it is there. `mode` is as for `Path.mkdir`.

    Raises:
        OSError: it cannot be made; NotADirectoryError where something else is in its place.
    """
    try:
        folder.mkdir(mode, parents=True, exist_ok=True)
    except FileExistsError as e:  # the folder may be there: a file is not one
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from e


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace the content of a file: write a temporary file beside it, sync it to the disk, and rename it.

    Raises:
        WriteError: the disk is full, the folder cannot be written, or there is a folder at `path`.
    """
    data = content.encode() if isinstance(content, str) else content
    with _writing(path):
        make_folder(path.parent)
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".tmp")
        try:
            with os.fdopen(fd, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _fsync_folder(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder that appears at `path` whole or not at all.

    It yields a temporary folder beside `path`, to be filled. When the `with` block ends, the files are synced to the
    disk and the folder is renamed to `path`. If the block raises (Ctrl-C included), the temporary folder is removed.

    Raises:
        FileExistsError: there is something other than an empty folder at `path`.
        WriteError: the disk is full, or the folder around it cannot be written.
    """
    with _writing(path):
        make_folder(path.parent)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".tmp"))
    try:
        yield temporary
        with _writing(path):
            temporary.chmod(0o755)
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as f:
                        os.fsync(f.fileno())
                else:
                    _fsync_folder(file)
            _fsync_folder(temporary)
        try:
            temporary.rename(path)
        except OSError as e:
            raise FileExistsError(f"{path} exists") from e
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _fsync_folder(path.parent)


@contextmanager
def _writing(path: Path, remedy: str = "make room there, or name another place") -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as e:  # ValueError: NUL in a path
        reason = getattr(e, "strerror", None) or e
        raise WriteError(f"cannot write {path}: {reason}; {remedy}") from None


def _fsync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
