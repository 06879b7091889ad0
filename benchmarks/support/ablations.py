"""A store without some of its options, to see what they are worth."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from legodnn.files import write_atomic
from legodnn.manifest import MANIFEST, Option
from legodnn.schema import to_json
from legodnn.store import Store


def only(source: Path, out: Path, wanted: Callable[[Option], bool]) -> None:
    """Copy a store with its originals and the options that are wanted.

    Args:
        source: the store's folder.
        out: the copy's, which must not exist.
        wanted: decides about an option.
    """
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.profile.json"))
    manifest, segments, before = Store(source).manifest, [], [0]
    for segment in manifest.segments:
        kept = [i for i, option in enumerate(segment.options) if i == 0 or wanted(option)]
        added = np.array(segment.interaction)[np.ix_(before, kept)] if segment.interaction else ()
        options = tuple(segment.options[i] for i in kept)
        changed = {"options": options, "interaction": tuple(tuple(row.tolist()) for row in added)}
        segments.append(segment.model_copy(update=changed))
        if segment.kind == "block":
            before = kept
    write_atomic(out / MANIFEST, to_json(manifest.model_copy(update={"segments": tuple(segments)})))
