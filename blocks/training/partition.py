"""How the training of a build is divided into jobs: a few blocks each, independent of one another."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
from pydantic import TypeAdapter, ValidationError

from legodnn.blocks.build_state import BuildState
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.importing.graph import calls
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.jobs.job import Workers
from legodnn.errors import StoreError
from legodnn.files import write_atomic
from legodnn.recipe import Recipe

# Share of the memory that each worker has when a build starts that features in training may take.
_MEMORY_SHARE = 0.5


def features_share(workers: Workers) -> float:
    """Return the bytes that features may take in a training job of these workers."""
    return max(1.0, _MEMORY_SHARE * workers.memory_bytes)


def jobs_of(work: BuildState, pieces: Sequence[Piece], workers: Workers) -> list[list[str]]:
    """Return the block names of every job, as this build divided them when it began.

    Args:
        work: the work folder, where the division is kept.
        pieces: the segments of the original.
        workers: say how many jobs will run at a time, and in how much memory.

    Raises:
        StoreError: the file is damaged, or does not name every block once.
    """
    file = work.path / "jobs.json"
    if not file.exists():
        divided = divide(pieces, work.recipe, workers.at_once, int(features_share(workers)))
        write_atomic(file, json.dumps(divided) + "\n")
    try:
        jobs = TypeAdapter(list[list[str]]).validate_json(file.read_bytes(), strict=True)
    except (OSError, ValidationError) as e:
        raise StoreError(f"{file} is damaged ({str(e).splitlines()[0]}); remove {work.path} and build again") from None
    if sorted(name for names in jobs for name in names) != sorted(p.name for p in pieces if p.kind == "block"):
        raise StoreError(f"{file} does not name every block once; remove {work.path} and build again")
    return jobs


def divide(pieces: Sequence[Piece], recipe: Recipe, jobs: int, memory_bytes: int) -> list[list[str]]:
    """Divide the blocks among `jobs` jobs of about equal work, or among more where features would take too much memory.

    Neighbours stay together, since a job runs the original only as far as its last block.

    Args:
        pieces: the segments of the original.
        recipe: says how many descendants a block has, and how many images a batch.
        jobs: number of jobs wanted.
        memory_bytes: what the features in one job may take.

    Returns:
        The block names of every job.
    """
    blocks = [p for p in pieces if p.kind == "block"]
    work = np.array([macs(p.model) for p in blocks], float)
    middle = (np.cumsum(work) - work / 2) / work.sum()
    parts: list[list[Piece]] = [[] for _ in range(min(jobs, len(blocks)))]
    for block, position in zip(blocks, middle, strict=True):
        parts[int(position * len(parts))].append(block)
    split: list[list[str]] = []
    for part in parts:
        used = math.inf
        for block in part:
            needed = _feature_bytes(block, recipe)
            used += needed
            if used > memory_bytes:
                split.append([])
                used = needed
            split[-1].append(block.name)
    return split


def _feature_bytes(piece: Piece, recipe: Recipe) -> float:
    """Return what the features of all descendants of a block, and as many gradients, take for one batch."""
    values: int = sum(math.prod(t.shape[1:]) for call in calls(piece.model) for t in call.outputs)
    return 8.0 * recipe.batch_size * values * sum(1 - s for s in recipe.sparsities)
