"""Keeping what models gave on every input, as an .npz of all outputs or a .csv of the classes that were found."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from legodnn.array_files import write_arrays
from legodnn.arrays import AnyArray
from legodnn.errors import InputError
from legodnn.files import write_atomic
from legodnn.manifest import Manifest
from legodnn.readings import Coordinates
from legodnn.runtime.feeds.inputs import Inputs

_COLUMNS = ("budget", "model", "input", "class", "label", "score")


class Predictions:
    """The outputs of a replay, by budget, model and input; `keep` is what `replay` calls after each inference."""

    def __init__(
        self, path: Path, manifests: Mapping[str, Manifest], inputs: Mapping[str, Inputs], several: bool = False
    ) -> None:
        """Begin with none.

        Args:
            path: the file that `write` writes: .npz or .csv.
            manifests: of the models' stores, by the models' names.
            inputs: the inputs of the models, by their names.
            several: whether there are several budgets.

        Raises:
            InputError: the file has another ending, or a model's output cannot be in a .csv.
        """
        if path.suffix not in (".npz", ".csv"):
            raise InputError(f"predictions are saved as .npz (all outputs) or .csv (classes), not as {path}")
        for name, manifest in manifests.items():
            shapes = [manifest.specs[output].shape for output in manifest.outputs]
            if path.suffix == ".csv" and (len(shapes) > 1 or len(shapes[0]) != 1):
                raise InputError(
                    f"{name} gives {', '.join(map(str, shapes))}, and a .csv has one class for each input; save an .npz"
                )
            if path.suffix == ".csv" and isinstance(manifest.model.reading, Coordinates):
                raise InputError(f"{name} gives coordinates of points, and a .csv has classes; save an .npz")
        self._path, self._manifests, self._inputs, self._several = path, manifests, inputs, several
        self._kept: dict[tuple[int, str, int], Mapping[str, AnyArray]] = {}

    def keep(self, budget: int, model: str, number: int, x: object, outputs: Mapping[str, AnyArray]) -> None:
        """Keep the outputs by name of a model for one of its inputs, `x`, under a budget; both are counted from 0."""
        self._kept[budget, model, number] = outputs

    def write(self) -> None:
        """Write the file, whole or not at all.

        An .npz has an array for each output, `MODEL/OUTPUT`, whose rows are the inputs; of several budgets, each by its
        number, `1/MODEL/OUTPUT` and so on. Suspended models have none; of a model that was suspended for a part of the
        inputs, `MODEL/#` has the numbers of the inputs that are there, from 0. Outputs are as the models gave them.

        Raises:
            WriteError: the file cannot be written.
        """
        if self._path.suffix == ".csv":
            # Names of files that are no UTF-8 are written with the bytes that they have.
            write_atomic(self._path, self._table().encode(errors="surrogateescape"))
        else:
            write_arrays(self._path, self._arrays())

    def _arrays(self) -> dict[str, AnyArray]:
        rows: dict[str, list[AnyArray]] = {}
        there: dict[tuple[int, str], list[int]] = {}
        for (budget, model, number), outputs in self._in_order():
            there.setdefault((budget, model), []).append(number)
            for output, value in outputs.items():
                rows.setdefault(self._name(budget, model, output), []).append(value)
        parts = {of: numbers for of, numbers in there.items() if len(numbers) < len(self._inputs[of[1]].x)}
        which = {self._name(*of, "#"): np.array(numbers, np.int64) for of, numbers in parts.items()}
        return {name: np.stack(values) for name, values in rows.items()} | which

    def _name(self, budget: int, model: str, output: str) -> str:
        return f"{budget + 1}/{model}/{output}" if self._several else f"{model}/{output}"

    def _in_order(self) -> list[tuple[tuple[int, str, int], Mapping[str, AnyArray]]]:
        """What is kept, by budget and input: one whose model was suspended at first was run after others."""
        return sorted(self._kept.items(), key=lambda kept: (kept[0][0], kept[0][2]))

    def _table(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for (budget, model, number), outputs in self._in_order():
            manifest, names = self._manifests[model], self._inputs[model].names
            ((output, values),) = outputs.items()
            scores = manifest.specs[output].to_numbers(values)
            best, labels = int(scores.argmax()), manifest.model.labels
            # Of a single number the class depends on a threshold; among NaN there is none.
            known = len(scores) > 1 and not np.isnan(scores[best])
            found, label = (best if known else ""), (labels[best] if known and best < len(labels) else "")
            shown = names[number] if names else number
            writer.writerow((budget + 1, model, shown, found, label, f"{scores[best]:.6g}"))
        return text.getvalue()
