"""Measuring how good whole files are: on labelled data by the score that fits, otherwise by agreement with the first.

Files are run by the Interpreter, after they were tried out (`executors.trial`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import AnyArray
from legodnn.checked_outputs import output_numbers
from legodnn.errors import InputError
from legodnn.progress import Progress, no_progress
from legodnn.runtime.executors.base import Choice, covering_compositions
from legodnn.runtime.executors.interpreter import InterpreterExecutor
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.scores import R2, Score, score_for
from legodnn.store import Store

_Outputs = Mapping[str, AnyArray]  # of one input, by name


@dataclass(frozen=True)
class FileRating:
    """How good files are.

    Attributes:
        metric: the name of the metric; larger is better.
        data: what it was measured on.
        values: the metric of each file.
        samples: on how many inputs it was measured; 0 if the values were given.
    """

    metric: str
    data: str
    values: tuple[float, ...]
    samples: int = 0


def rate(store: Store, inputs: Inputs, data: str, progress: Progress = no_progress) -> FileRating:
    """Measure every option of a store of one segment.

    Args:
        store: the store; it must have been tried out.
        inputs: what the options are run on.
        data: what messages and the store call these inputs.
        progress: shows how many inferences have been made.

    Raises:
        InputError: labels do not fit the outputs, or these hold NaN or infinity.
        ExecutionError: an inference failed.
    """
    compositions = covering_compositions(store)
    values: list[float] = []
    reference: list[_Outputs] = []
    metric = "agreement"
    with closing(InterpreterExecutor(store)) as executor, progress("rating", len(compositions) * len(inputs.x)) as task:

        def run(choices: tuple[Choice, ...]) -> Iterator[_Outputs]:
            model = executor.compose(choices)
            for number in range(len(inputs.x)):
                x = inputs.x[number]
                given = x if isinstance(x, Mapping) else {store.manifest.inputs[0].name: x}
                yield _numbers(store, model.run(given))
                task.step()
            executor.retain(())

        for choices in compositions:
            outputs: Iterable[_Outputs] = run(choices)
            if inputs.y is None:
                if not reference:
                    outputs = reference = list(outputs)
                values.append(_agreement(outputs, reference))
            else:
                metric, value = _scored(outputs, inputs.y, data)
                values.append(value)
    described = data if inputs.y is not None else f"{data}, with the outputs of {compositions[0][0].option}"
    return FileRating(metric, described, tuple(values), len(inputs.x))


def _numbers(store: Store, outputs: _Outputs) -> _Outputs:
    return dict(zip(store.manifest.outputs, output_numbers(store.manifest, outputs), strict=True))


def _scored(outputs: Iterable[_Outputs], labels: NDArray[Any], data: str) -> tuple[str, float]:
    """Return the metric and its value for a model of one output, by labels."""
    score: Score | None = None
    for output, label in zip(outputs, labels, strict=True):
        if len(output) > 1:
            raise InputError(
                f"{data} has labels, and the model has the outputs {', '.join(output)}: leave y out, which measures "
                "agreement with the first file, or say --accuracy"
            )
        (found,) = output.values()
        score = score or score_for(found, labels, data)
        score.add(found, label)
    assert score is not None  # inputs are never empty
    return score.metric, score.value()


def _agreement(outputs: Iterable[_Outputs], reference: Sequence[_Outputs]) -> float:
    """Return R squared against the outputs of another model, as the mean over outputs: 1 where all are equal."""
    scores = {name: R2() for name in reference[0]}
    for mine, theirs in zip(outputs, reference, strict=True):
        for name, score in scores.items():
            score.add(mine[name], theirs[name])
    return float(np.mean([score.value() for score in scores.values()]))
