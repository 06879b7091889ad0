"""Stores whose accuracy is predicted as the LegoDNN paper does: each option's drop alone, summed over the blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from legodnn.arrays import Array
from legodnn.blocks.accuracy.metrics import metric_of
from legodnn.blocks.importing.data import Split
from legodnn.blocks.importing.heads import Head
from legodnn.files import write_atomic
from legodnn.manifest import MANIFEST, Link
from legodnn.plan import ModelPlan
from legodnn.schema import to_json
from legodnn.store import Store
from support.originals import running


def predict_by_summed_drops(store: Store, x: Array, y: Array) -> None:
    """Replace a store's fitted accuracy model by measured drops of single swaps; a composition loses their sum.

    Args:
        store: a store of a model with one output; its manifest is written anew.
        x: validation images, shape (n, height, width, channels).
        y: their labels, as the store's metric takes them.
    """
    model, (name,) = running(store), (i.name for i in store.manifest.inputs)
    originals, measure = model.choices, store.manifest.accuracy.metric  # top1 or mean_iou
    metric = metric_of(measure, Split(x, y), [Head("classes", measure, "linear")])

    def accuracy() -> float:
        found = [np.array(outputs) for image in x for outputs in model.infer({name: image}).outputs.values()]
        return metric([np.stack(found)], y)

    best, segments = accuracy(), []
    for i, segment in enumerate(store.manifest.segments):
        options = [segment.options[0]]
        for option in segment.options[1:]:
            swapped = (*originals[:i], replace(originals[i], option=option.name), *originals[i + 1 :])
            model.change(swapped, ModelPlan(name=store.name, threads=1))
            options.append(option.model_copy(update={"loss": max(best - accuracy(), 0.0)}))
        segments.append(segment.model_copy(update={"options": tuple(options), "interaction": ()}))
    model.close()
    whole = sum(max(o.loss for o in s.options) for s in segments) + 1e-6
    summed = store.manifest.accuracy.model_copy(update={"link": Link(x=(0.0, whole), y=(best, best - whole))})
    manifest = store.manifest.model_copy(update={"segments": tuple(segments), "accuracy": summed})
    write_atomic(store.path / MANIFEST, to_json(manifest))
