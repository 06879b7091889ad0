"""Measuring how good whole files are: on labelled data by the score that fits, otherwise by agreement with the first.

Files are run by the Interpreter, after they were tried out (`executors.trial`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from legodnn.arrays import AnyArray
from legodnn.errors import InputError
from legodnn.progress import Progress, no_progress
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.interpreter import InterpreterExecutor
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.scores import R2, Score, score_for
from legodnn.store import Store


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
        InputError: labels do not fit the outputs.
        ExecutionError: an inference failed.
    """
    compositions = covering_compositions(store)
    values: list[float] = []
    reference: list[dict[str, AnyArray]] = []
    metric = "agreement"
    with closing(InterpreterExecutor(store)) as executor, progress("rating", len(compositions) * len(inputs.x)) as task:
        for choices in compositions:
            model = executor.compose(choices)
            outputs = []
            for number in range(len(inputs.x)):
                x = inputs.x[number]
                given = x if isinstance(x, Mapping) else {store.manifest.inputs[0].name: x}
                outputs.append(_numbers(store, model.run(given)))
                task.step()
            executor.retain(())
            reference = reference or outputs
            if inputs.y is None:
                values.append(_agreement(outputs, reference))
            else:
                metric, value = _scored(outputs, inputs, data)
                values.append(value)
    described = data if inputs.y is not None else f"{data}, with the outputs of {compositions[0][0].option}"
    return FileRating(metric, described, tuple(values), len(inputs.x))


def _numbers(store: Store, outputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    return {name: store.manifest.specs[name].to_numbers(value) for name, value in outputs.items()}


def _scored(outputs: Sequence[Mapping[str, AnyArray]], inputs: Inputs, data: str) -> tuple[str, float]:
    """Return the metric and its value for a model of one output, by labels."""
    assert inputs.y is not None
    if len(outputs[0]) > 1:
        raise InputError(
            f"{data} has labels, and the model has the outputs {', '.join(outputs[0])}: leave y out, which measures "
            "agreement with the first file, or say --accuracy"
        )
    (name,) = outputs[0]
    score = score_for(outputs[0][name], inputs.y)
    if score is None:
        raise InputError(
            f"each label of {data} has shape {inputs.y.shape[1:]}, the output has {outputs[0][name].shape}: give class "
            "numbers, or what the output should be, or leave y out"
        )
    for output, label in zip(outputs, inputs.y, strict=True):
        score.add(output[name], label)
    return score.metric, score.value()


def _agreement(outputs: Sequence[Mapping[str, AnyArray]], reference: Sequence[Mapping[str, AnyArray]]) -> float:
    """Return R squared against the outputs of another model, as the mean over outputs: 1 where all are equal."""
    values = []
    for name in reference[0]:
        score: Score = R2()
        for mine, theirs in zip(outputs, reference, strict=True):
            score.add(mine[name], theirs[name])
        values.append(score.value())
    return float(np.mean(values))
