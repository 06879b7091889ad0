"""Stores whose accuracy is predicted without interactions: fitted anew to a build's compositions, losses alone."""

from __future__ import annotations

import numpy as np

from legodnn.arrays import Array
from legodnn.blocks.accuracy.accuracy_model import fit_measured, measure
from legodnn.blocks.accuracy.evaluation import MeasuredComposition
from legodnn.blocks.accuracy.loss_fit import NOISES
from legodnn.blocks.accuracy.metrics import metric_of
from legodnn.blocks.accuracy.option_chain import OptionNumbers
from legodnn.blocks.accuracy.sampling import single_swaps
from legodnn.blocks.export.options import option_costs
from legodnn.blocks.importing.data import Split
from legodnn.blocks.importing.heads import Head
from legodnn.console import ProgressLine
from legodnn.files import write_atomic
from legodnn.manifest import MANIFEST, Manifest
from legodnn.schema import to_json
from legodnn.store import Store
from support.evaluated import store_chain


def predict_additively(store: Store, x: Array, y: Array) -> None:
    """Fit a store's accuracy model anew, without interactions, to what its build measured.

    Args:
        store: a store that `build` has made, of a model with one output; its manifest is written anew.
        x: the build's validation images, shape (n, height, width, channels).
        y: their labels, as the store's metric takes them.
    """
    manifest = store.manifest
    named = manifest.accuracy.metric  # top1 or mean_iou
    split, metric = Split(x, y), metric_of(named, Split(x, y), [Head("classes", named, "linear")])
    known: dict[OptionNumbers, MeasuredComposition] = {}
    costs = [np.array([option_costs(o.bytes, o.macs, o.precision) for o in s.options]) for s in manifest.segments]
    described, samples, seed = manifest.accuracy.data, *(manifest.built.recipe[f] for f in ("samples", "seed"))
    measure(store_chain(store), split, described, samples, seed, metric, known, costs=costs, progress=ProgressLine)
    write_atomic(store.path / MANIFEST, to_json(fitted_additively(manifest, known)))


def fitted_additively(manifest: Manifest, known: dict[OptionNumbers, MeasuredComposition]) -> Manifest:
    """Return a manifest with losses that are fitted to measured compositions, and without interactions.

    Args:
        manifest: a store's.
        known: what was measured, all single swaps among it.
    """
    sizes = [len(s.options) for s in manifest.segments]
    singles = single_swaps(sizes)
    fit = fit_measured(sizes, known, [c for c in known if c not in singles], NOISES[0], interacting=False)
    segments = tuple(
        s.model_copy(
            update={
                "options": tuple(o.model_copy(update={"loss": u}) for o, u in zip(s.options, losses, strict=True)),
                "interaction": (),
            }
        )
        for s, losses in zip(manifest.segments, fit.losses, strict=True)
    )
    accuracy = manifest.accuracy.model_copy(update={"link": fit.link, "original": known[singles[0]].metric})
    return manifest.model_copy(update={"segments": segments, "accuracy": accuracy})
