"""Making a store of whole `.tflite` files: one segment, whose options are the files as they are.

It is a block where there are several files, which plans choose from, and fixed where there is one.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import ValidationError

import legodnn
from legodnn.errors import ModelError, StoreError, WriteError
from legodnn.files import new_folder, sha256_bytes, write_atomic
from legodnn.manifest import (
    MANIFEST,
    AccuracyModel,
    BuildInfo,
    InputSpec,
    Link,
    Manifest,
    ModelInfo,
    Option,
    Segment,
    task_of,
)
from legodnn.pixels import Scaling
from legodnn.printable import printable
from legodnn.progress import Progress, no_progress
from legodnn.runtime.executors import interpreter, trial
from legodnn.runtime.executors.select import prepare
from legodnn.runtime.feeds.inputs import Inputs, inputs_of_arrays, read_inputs
from legodnn.runtime.whole_models.agreement import check_agreement, input_specs
from legodnn.runtime.whole_models.rating import FileRating, rate
from legodnn.runtime.whole_models.whole_file import WholeFile, read_whole_file
from legodnn.schema import explain, to_json
from legodnn.store import Store
from legodnn.tensor_spec import ImageFit, TensorSpec
from legodnn.units import utc_now

_SEGMENT = "model"


@dataclass(frozen=True)
class Described:
    """What the files do not say of themselves.

    Attributes:
        name: the model's name; the store's folder's if it is empty.
        labels: the names of its classes; may be empty.
        scaling, fit, fill: how pictures become inputs (see `agreement.input_specs`).
    """

    name: str = ""
    labels: tuple[str, ...] = ()
    scaling: Scaling | None = None
    fit: ImageFit = "stretch"
    fill: int = 0


def pack_files(
    files: Sequence[Path],
    out: Path,
    accuracy: Sequence[float] = (),
    data: Path | Mapping[str, NDArray[Any]] | None = None,
    described: Described | None = None,
    metric: str = "accuracy",
    progress: Progress = no_progress,
    contents: Mapping[Path, bytes] = {},
) -> Store:
    """Write a store of `.tflite` files, which is then profiled, planned with and run as any other.

    The most accurate file becomes the original. A store appears whole or not at all, and only after all files were run.

    Args:
        files: the files, or names of `contents`; those of one model take and give the same tensors.
        out: the folder of the new store, which must not exist.
        accuracy: the accuracy of each file, if it is known; larger is better.
        data: what the accuracy is measured on if it is not given: a file or folder (see `feeds.inputs.read_inputs`), or
            arrays by name.
        described: what the files do not say of themselves.
        metric: what `accuracy` is called.
        progress: shows how far measuring is.
        contents: what there is in place of files, by `module:function` that made it.

    Returns:
        The store.

    Raises:
        ModelError: a file is none that is run, files do not go together, or accuracy is missing or makes no sense.
        InputError: the data cannot be read, or does not fit the model.
        WriteError: there is something at `out`, or it cannot be written.
        TrialError, DependencyError: the files could not be tried out, for no fault of theirs.
    """
    described = described or Described()
    if out.exists():
        raise WriteError(f"{out} exists; name another folder, or remove it")
    if not accuracy and data is None:
        raise ModelError(
            "how good are the files? give --accuracy with a number for each (1 where nothing is known of a single one),"
            " or --data to measure it"
        )
    if accuracy and len(accuracy) != len(files):
        raise ModelError(f"{len(accuracy)} values of accuracy for {len(files)} files; give one for each, in order")
    if accuracy and data is not None:
        raise ModelError("accuracy is either given (--accuracy) or measured (--data); leave one of them out")
    whole = [read_whole_file(path, contents.get(path)) for path in files]
    check_agreement(whole)
    _check_labels(described.labels, whole[0].outputs)
    names = option_names(files, contents)
    try:
        inputs = input_specs(whole[0].inputs, described.scaling, described.fit, described.fill)
    except ValidationError as e:
        raise ModelError(f"{files[0]}: {explain(e)}") from None
    shown = "arrays" if isinstance(data, Mapping) else printable(str(data))
    if isinstance(data, Mapping):
        x: Inputs | None = inputs_of_arrays(data, shown, inputs)
    else:
        x = None if data is None else read_inputs(data, inputs, described.labels, progress)
    name = described.name or out.name
    try:
        with new_folder(out) as folder:
            rating = FileRating(metric, "as given", tuple(accuracy) or (1.0,) * len(files))
            for file, option in zip(whole, names, strict=True):
                write_atomic(folder / _file(option), file.content)
            _write_manifest(folder, name, whole, names, inputs, rating, described.labels)
            if x is not None:
                rating = _measured(Store(folder), x, shown, progress)
                _write_manifest(folder, name, whole, names, inputs, rating, described.labels)
            prepare(Store(folder))
    except FileExistsError as e:
        raise WriteError(f"{e}; name another folder, or remove it") from None
    except StoreError as e:
        reason = str(e).replace(str(folder), str(out)).partition("; build the store again")[0]
        raise ModelError(f"{name} cannot be packed: {reason}") from None
    return Store(out)


def _check_labels(labels: Sequence[str], outputs: Sequence[TensorSpec]) -> None:
    """Check that there is a name for every class of a classifier. One number may stand for two classes."""
    if not labels or len(outputs) != 1 or len(outputs[0].shape) != 1:
        return  # boxes, maps of classes and the like do not say how many classes there are
    classes = max(2, outputs[0].shape[0])
    if len(labels) != classes:
        raise ModelError(
            f"{len(labels)} labels for {classes} classes; give a name for each, in the order of their numbers"
        )


def option_names(files: Sequence[Path], made: Collection[Path] = ()) -> list[str]:
    """Return what the options of files are called: the files' names without ending.

    Args:
        files: the files.
        made: those that are no files but `module:function`. Their options are called as the function, with its module
            where another file or function has that name.

    Raises:
        ModelError: two would have the same name.
    """
    stems = [path.name.rpartition(":")[2] if path in made else path.stem for path in files]
    told = [path.name if path in made and stems.count(s) > 1 else s for path, s in zip(files, stems, strict=True)]
    names = [re.sub(r"[^\w.-]", "_", name)[:100] or "file" for name in told]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ModelError(f"{files[names.index(name)]} and {files[i]} would have the same name, {name}; rename one")
    return names


def _measured(draft: Store, inputs: Inputs, data: str, progress: Progress) -> FileRating:
    trial.run_trial(draft, "interpreter")
    return rate(draft, inputs, data, progress)


def _file(option: str) -> str:
    return f"{_SEGMENT}/{option}.tflite"


def _write_manifest(
    folder: Path,
    name: str,
    files: Sequence[WholeFile],
    names: Sequence[str],
    inputs: tuple[InputSpec, ...],
    rating: FileRating,
    labels: tuple[str, ...],
) -> None:
    """Write the manifest. ModelError if it would not be valid."""
    try:
        manifest = Manifest(
            model=ModelInfo(name=name, task=task_of(rating.metric), labels=labels),
            inputs=inputs,
            outputs=tuple(spec.name for spec in files[0].outputs),
            tensors=files[0].outputs,
            segments=(_segment(files, names, inputs, rating),),
            accuracy=_accuracy_model(rating),
            built=BuildInfo(
                created=utc_now(),
                versions={
                    "legodnn": legodnn.__version__,
                    "python": platform.python_version(),
                    "interpreter": interpreter.interpreter_name(),
                },
                seed=0,
                recipe={"packed": [printable(str(file.path)) for file in files]},
            ),
        )
    except ValidationError as e:
        raise ModelError(f"{name} cannot be packed: {explain(e)}") from None
    write_atomic(folder / MANIFEST, to_json(manifest))


def _segment(
    files: Sequence[WholeFile], names: Sequence[str], inputs: Sequence[InputSpec], rating: FileRating
) -> Segment:
    """Return the one segment; its options are in the order of accuracy, and of the files where that is equal."""
    best = max(rating.values)
    options = [
        Option(
            name=name,
            sparsity=0.0,
            precision=file.precision,
            file=_file(name),
            sha256=sha256_bytes(file.content),
            bytes=len(file.content),
            params=file.params,
            macs=file.macs,
            loss=best - value,
        )
        for file, name, value in zip(files, names, rating.values, strict=True)
    ]
    return Segment(
        name=_SEGMENT,
        kind="block" if len(files) > 1 else "fixed",
        inputs=tuple(spec.name for spec in inputs),
        outputs=tuple(spec.name for spec in files[0].outputs),
        options=tuple(sorted(options, key=lambda option: option.loss)),
    )


def _accuracy_model(rating: FileRating) -> AccuracyModel:
    """Return the model that predicts of each file what it was rated: losses are what files lose against the best."""
    best, reach = max(rating.values), max(1.0, max(rating.values) - min(rating.values))
    return AccuracyModel(
        metric=rating.metric,
        data=rating.data,
        original=best,
        link=Link(x=(0.0, reach), y=(best, best - reach)),
        error=0.0,
        samples=len(rating.values) if rating.samples else 0,
    )
