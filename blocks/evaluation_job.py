"""Measuring compositions by workers: a job measures some, with files and images that all jobs have in common."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from legodnn.blocks.accuracy.evaluation import MeasuredComposition, evaluate, original_outputs
from legodnn.blocks.accuracy.metrics import metric_of
from legodnn.blocks.accuracy.option_chain import OptionChain, OptionNumbers, Stage
from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.cutting.extract import Piece, output_names
from legodnn.blocks.export.convert import Runner
from legodnn.blocks.export.options import ExportedOptions
from legodnn.blocks.importing.data import Split
from legodnn.blocks.importing.heads import Head
from legodnn.blocks.importing.sent_source import images_of, sent_images
from legodnn.blocks.jobs.job import Attempt, DoesJob, Job, Team, Work
from legodnn.blocks.jobs.packed import file_array, packed_bytes
from legodnn.blocks.source import BuildSource
from legodnn.errors import LegoError
from legodnn.progress import Progress, no_progress
from legodnn.readings import READING

_MOST = 32  # compositions in a job, which share the work of their first segments
_BYTES = 2_000_000_000  # of memory that a job takes at most, besides what jobs have in common


def evaluation_work(
    source: BuildSource, metric: str | None, pieces: Sequence[Piece], options: ExportedOptions, threads: int
) -> Work:
    """Return what jobs have in common that measure compositions.

    Args:
        source: the images and the metric.
        metric: the recipe's metric.
        pieces: the segments.
        options: the exported options of every segment.
        threads: threads that each job runs files with.
    """
    y = source.val.y
    described = {
        "stages": [[p.inputs, p.outputs] for p in pieces],
        "outputs": output_names(pieces),
        "metric": metric,
        "heads": [asdict(head) for head in source.heads],
        "reading": source.reading and source.reading.model_dump(mode="json"),
        "several": isinstance(y, tuple),
        "threads": threads,
    }
    files = [[file_array(o.many.read_bytes()) for o in options[p.name]] for p in pieces]
    labels = list(y) if isinstance(y, tuple) else [] if y is None else [y]
    images = sent_images(source.val.x)
    shared = {"described": json.dumps(described), "files": files, "images": images, "labels": labels}
    return Work("legodnn.blocks.evaluation_job:evaluating", shared, _BYTES + 2 * packed_bytes(shared))


def evaluating(shared: Mapping[str, Any]) -> DoesJob:
    """Return the function that measures the compositions that a job names: metric and error of each."""
    told = json.loads(str(shared["described"]))
    stages = [
        Stage(tuple(inputs), tuple(outputs), [Runner(f.tobytes(), told["threads"]) for f in files])
        for (inputs, outputs), files in zip(told["stages"], shared["files"], strict=True)
    ]
    chain = OptionChain(stages, tuple(told["outputs"]))
    labels = tuple(shared["labels"]) if told["several"] else next(iter(shared["labels"]), None)
    split = Split(images_of(shared["images"]), labels)
    reading = told["reading"] and READING.validate_json(json.dumps(told["reading"]))
    metric = metric_of(told["metric"], split, [Head(**head) for head in told["heads"]], reading)
    original = original_outputs(chain, split)

    def measure_some(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
        asked = [tuple(int(option) for option in row) for row in arguments["compositions"]]
        found = dict(evaluate(chain, asked, split, metric, original=original))
        return {"measured": np.array([found[composition] for composition in asked], np.float64)}

    return measure_some


def evaluate_by(
    team: Team, at_once: int, compositions: Collection[OptionNumbers], label: str, progress: Progress = no_progress
) -> Iterator[tuple[OptionNumbers, MeasuredComposition]]:
    """Have compositions measured by a team; yield each as soon as its job is done.

    Args:
        team: does the jobs of `evaluation_work`.
        at_once: jobs that it does at a time.
        compositions: option numbers, one for each segment.
        label: what progress is shown under.
        progress: shows the compositions that are measured.

    Raises:
        DataError: the metric does not give a finite number.
        WorkerError: a worker failed.
    """
    todo = sorted(set(compositions))
    size = min(_MOST, math.ceil(len(todo) / at_once)) or 1
    parts = [todo[start : start + size] for start in range(0, len(todo), size)]
    jobs = {f"{label}, part {i + 1}": part for i, part in enumerate(parts)}
    with progress(label, len(todo)) as task:
        asked = [Job(name, {"compositions": np.array(part, np.int64)}) for name, part in jobs.items()]
        for job, outcome in team.run(asked):
            if isinstance(outcome, LegoError):
                raise outcome
            for composition, (metric, error) in zip(jobs[job.name], outcome["measured"], strict=True):
                task.step()
                yield composition, MeasuredComposition(float(metric), float(error))
