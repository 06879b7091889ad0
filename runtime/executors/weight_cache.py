"""Packed weights, kept in the cache folder: XNNPACK's own layout of a store's weights, and the head of its linked
model.

An entry is made once for each store and device (`cache_folder`) by the process that tries the store out (`trial`). So
an entry that is there says that its store may be run. Its checksums are verified before it is used; its files are
read-only and never written again. Compact models need an entry of their own: XNNPACK finds the weights of one kind of
operator only where they were packed for it.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import numpy as np

from legodnn.errors import CApiError, ExecutionError, PackingError, StoreError, TrialError
from legodnn.files import file_state
from legodnn.lifetime import release_with
from legodnn.runtime.executors import litert_capi, trial
from legodnn.runtime.executors.cache_folder import (
    LIMIT_VARIABLE,
    cache_folder,
    cache_limit,
    entry_bytes,
    entry_name,
    evict,
    mark_used,
    unfinished_entry,
)
from legodnn.runtime.executors.linked_front import packing_front
from legodnn.runtime.executors.linked_graphs import LinkedGraphs
from legodnn.runtime.executors.linked_model import (
    MappedFiles,
    MappedModel,
    link,
    linked_options,
    quantised_ends_of,
)
from legodnn.runtime.executors.packed_places import Places, read_places
from legodnn.store import Store

HEAD, INDEX, WEIGHTS, PLACES, SUMS = "head.tflite", "head.index", "weights.packed", "places.npy", "sums.json"
_FILES = (HEAD, WEIGHTS, INDEX, PLACES)  # whose checksums are in the last
_SPARE_BYTES = 32_000_000  # that are to be free on the disk besides what an entry takes


class PackedWeights:
    """A verified entry.

    Attributes:
        head: file descriptor of the head of the store's linked model (see `linked_model`), read only.
        graphs: those of the options, which fronts of models are made of (see `linked_front`).
        weights: file descriptor of the packed weights, read only.
        places: which bytes of these hold which weights.
        close: closes the descriptors, unless that has been done; so does dropping this object.
    """

    def __init__(self, head: int, weights: int, index: mmap.mmap, places: Places) -> None:
        self.head, self.weights, self.places = head, weights, places
        content = mmap.mmap(head, 0, prot=mmap.PROT_READ)
        self.graphs = LinkedGraphs(content, index)
        self.close = release_with(self, _close_entry, (content, index), head, weights)


def _close_entry(mapped: Collection[mmap.mmap], *descriptors: int) -> None:
    for each in mapped:
        each.close()
    _close(*descriptors)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def entry_path(store: Store, compact: bool = False) -> Path:
    """Return where a store's entry lies in the cache folder, made or not; that of compact models, if they are meant."""
    return cache_folder() / entry_name(store, litert_capi.capi_version() + " compact" * compact)


def open_packed(store: Store, compact: bool = False) -> PackedWeights:
    """Open a store's packed weights, which are made first if they are missing or damaged.

    Args:
        store: the store.
        compact: whether compact models are to run with them.

    Raises:
        StoreError: a file of the store is not what the manifest says, or it failed the trial.
        PackingError: they cannot be made or kept.
        ExecutionError: address space is short.
        ConfigError: LEGODNN_CACHE or LEGODNN_CACHE_LIMIT makes no sense.
    """
    limit, path = cache_limit(), entry_path(store, compact)
    found = read_entry(path)
    if found is None:
        _make(store, path, limit, compact)
        found = read_entry(path)
    if found is None:
        raise PackingError(f"{path} is damaged again as soon as it is made; is the disk in order?")
    return found


def is_made(store: Store, compact: bool = False) -> bool:
    """Whether a store has an entry, damaged or not. If it has, opening it takes little time."""
    return entry_path(store, compact).is_dir()


def is_packed(store: Store) -> bool:
    """Whether a store's packed weights are there and not damaged, so that `open_packed` need not make them."""
    try:
        found = read_entry(entry_path(store))
    except PackingError:
        return False
    if found:
        found.close()
    return found is not None


def read_entry(path: Path) -> PackedWeights | None:
    """Open and verify the entry in a folder; None if there is none, or if it is damaged.

    Raises:
        PackingError: its files cannot be read.
        ExecutionError: address space is short.
    """
    fds: list[int] = []
    try:
        sums = json.loads((path / SUMS).read_bytes())
        for name in _FILES:
            fds.append(os.open(path / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
            if _digest(fds[-1]) != sums[name]:
                raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as e:
        _close(*fds)
        if isinstance(e, OSError) and not isinstance(e, FileNotFoundError):
            raise PackingError(f"cannot read {path} ({e.strerror})") from None
        return None
    mark_used(path)
    try:
        with os.fdopen(fds.pop(), "rb") as file:
            places: Places = np.load(file, allow_pickle=False)
        with os.fdopen(fds.pop(), "rb") as file:
            index = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        head, weights = fds
        return PackedWeights(head, weights, index, places)
    except OSError as e:  # no address space left, say
        _close(*fds)
        raise ExecutionError(f"{path} cannot be opened: {e.strerror or e}") from None


_verified: dict[tuple[int, ...], str] = {}


def _digest(fd: int) -> str:
    """Return a file's SHA-256, which is computed once in a process, and again when the file has changed."""
    state = file_state(os.fstat(fd))
    if state not in _verified:
        digest = hashlib.sha256()
        place = 0
        while chunk := os.pread(fd, 1 << 20, place):
            digest.update(chunk)
            place += len(chunk)
        _verified[state] = digest.hexdigest()
    return _verified[state]


def write_entry(store: Store, folder: Path, compact: bool = False) -> None:
    """Link a store, pack its weights, and write the files of its entry into a folder.

    This hands the options' files to LiteRT, so only the process that tries the store out calls it, after checking them.

    Raises:
        StoreError: LiteRT cannot compile the store's options.
        PackingError: the packed weights cannot be written.
    """
    (folder / HEAD).write_bytes(link(store))
    last = store.manifest.segments[-1]
    inner = [number for number, (segment, _) in enumerate(linked_options(store)) if segment != last]
    graphs = LinkedGraphs.found((folder / HEAD).read_bytes(), quantised_ends_of(store))
    (folder / INDEX).write_bytes(graphs.index)
    everything = packing_front(graphs, _packing_order(store), inner)
    with (
        (folder / HEAD).open("rb") as head,
        closing(MappedFiles(store)) as files,
        closing(MappedModel(files, head.fileno(), everything)) as model,
    ):
        _write_weights(store, model, folder / WEIGHTS, compact)
    np.save(folder / PLACES, read_places(folder / WEIGHTS))
    sums = {}
    for name in _FILES:
        (folder / name).chmod(0o400)
        with (folder / name).open("rb") as file:
            sums[name] = _digest(file.fileno())
    (folder / SUMS).write_text(json.dumps(sums))


def _packing_order(store: Store) -> list[int]:
    """Return the numbers of all options, in the order in which their packed weights are to lie in the file.

    Options of one kind, such as all of int8 without pruning, lie together over all segments. Compositions are often of
    few kinds; and the kernel maps pages around those that are read, which then count as the process's memory.
    """
    rank = [segment.options.index(option) for segment, option in linked_options(store)]
    return sorted(range(len(rank)), key=rank.__getitem__)


def _write_weights(store: Store, model: MappedModel, path: Path, compact: bool) -> None:
    try:
        litert_capi.CApiModel(model.address, model.size, 1, path, compact).close()
    except CApiError as e:
        try:
            litert_capi.CApiModel(model.address, model.size, 1, compact=compact).close()
        except CApiError:
            raise StoreError(f"{store.path} cannot be compiled ({e}); build the store again") from None
        raise PackingError(f"packed weights cannot be written ({e})") from None


def _make(store: Store, path: Path, limit: int, compact: bool) -> None:
    """Make an entry and put it in its place, over a damaged one if there is one; the cache then takes <= `limit`."""
    about = sum(option.bytes for _, option in linked_options(store)) * 5 // 4  # what it takes is known when it is made
    if about > limit:
        raise PackingError(f"its packed weights take more than the cache may ({LIMIT_VARIABLE} is {limit} bytes)")
    try:
        evict(path.parent, limit - about, keep=path.name)
        if shutil.disk_usage(path.parent).free < about + _SPARE_BYTES:
            raise PackingError(f"there is no room for packed weights in {path.parent}")
        with unfinished_entry(path.parent) as folder:
            try:
                trial.run_trial(store, "capi", folder, compact)
            except TrialError as e:
                raise PackingError(str(e)) from None
            if path.exists() and read_entry(path) is None:
                path.rename(folder / "damaged")
            if not path.exists():  # another process may have been faster
                folder.rename(path)
        evict(path.parent, limit - entry_bytes(path), keep=path.name)
    except OSError as e:
        if not path.exists():
            raise PackingError(f"cannot write to {path.parent} ({e.strerror or e})") from None
    shutil.rmtree(path / "damaged", ignore_errors=True)
