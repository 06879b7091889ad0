"""Compositions that have been evaluated, kept in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from legodnn.blocks.accuracy.evaluation import MeasuredComposition, evaluate
from legodnn.blocks.accuracy.metrics import metric_of
from legodnn.blocks.accuracy.option_chain import OptionChain, OptionNumbers, Stage
from legodnn.blocks.cutting.extract import Piece
from legodnn.blocks.export.convert import Runner, convert
from legodnn.blocks.importing.data import Split
from legodnn.blocks.importing.heads import Head
from legodnn.console import ProgressLine
from legodnn.store import Store
from support.students import Students

SLICE = 1000  # images at a time
Known = dict[OptionNumbers, MeasuredComposition]


def exported(pieces: Sequence[Piece], students: Students) -> OptionChain:
    """Convert every option, and return the chain of segments that runs them."""
    options = [[p.model, *students.get(p.name, [])] for p in pieces]
    runners = [[Runner(convert(model, 50)) for model in models] for models in options]
    return OptionChain([Stage(p.inputs, p.outputs, r) for p, r in zip(pieces, runners, strict=True)])


def store_chain(store: Store) -> OptionChain:
    """Return the chain of a store's segments, which runs its files."""
    manifest = store.manifest
    stages = [
        Stage(s.inputs, s.outputs, [Runner(store.verified_file(o).read_bytes()) for o in s.options])
        for s in manifest.segments
    ]
    return OptionChain(stages, manifest.outputs)


class CompositionRecord:
    """Compositions of a network's blocks, each measured once.

    Args:
        file: keeps what has been measured, where it is not None.
        pieces: the network's segments.
        students: the descendants of each block.

    Attributes:
        blocks: which of the segments are blocks.
        sizes: the number of options of every segment.
    """

    def __init__(self, file: Path | None, pieces: Sequence[Piece], students: Students) -> None:
        self._make = lambda: exported(pieces, students)
        self._chain: OptionChain | None = None
        self._file = file
        self._known: dict[str, dict[str, list[float]]] = {}
        if self._file and self._file.exists():
            self._known = json.loads(self._file.read_text())
        self.blocks = [i for i, p in enumerate(pieces) if p.kind == "block"]
        self.sizes = [1 + len(students.get(p.name, [])) for p in pieces]

    def full(self, composition: Sequence[int]) -> OptionNumbers:
        """Return the option number of every segment, given that of every block."""
        row = dict(zip(self.blocks, composition, strict=True))
        return tuple(row.get(i, 0) for i in range(len(self.sizes)))

    def measure(
        self, compositions: Sequence[OptionNumbers], split: Split, where: str, take: slice = slice(None)
    ) -> Known:
        """Return the accuracy of compositions; what is not known yet is measured.

        Args:
            compositions: option numbers for every segment.
            split: the images, which are divided into slices of `SLICE`.
            where: the name of the images, under which results are kept.
            take: which of the slices are taken.
        """
        labels: Any = split.y
        starts = range(0, len(split), SLICE)
        parts = [(i, Split(split.x[s : s + SLICE], labels[s : s + SLICE])) for i, s in enumerate(starts)][take]
        images = sum(len(part) for _, part in parts)
        found: dict[OptionNumbers, list[float]] = {c: [0.0, 0.0] for c in compositions}
        metric = metric_of("top1", split, [Head("classes", "top1", "linear")])
        for number, part in parts:
            kept = self._known.setdefault(f"{where} {number} {len(part)}", {})
            missing = [c for c in compositions if str(c) not in kept]
            if missing:
                self._chain = self._chain or self._make()
                for composition, measured in evaluate(
                    self._chain, missing, part, metric, label=f"{where}, slice {number}", progress=ProgressLine
                ):
                    kept[str(composition)] = list(measured)
                    if self._file:
                        self._file.write_text(json.dumps(self._known))
            for composition, row in found.items():
                for i, value in enumerate(kept[str(composition)]):
                    row[i] += value * len(part) / images
        return {c: MeasuredComposition(*row) for c, row in found.items()}
