"""The offline stage: from a Keras model and data to a store of pruned, trained and quantised blocks.

    from legodnn.blocks import Recipe, build, inspect

    print(inspect("mymodel.keras"))        # which blocks it has, and what can be removed from each
    store = build(Recipe(model="mymodel.keras", name="mymodel", data="images:photos"), "stores/mymodel")

This is the only room that imports Keras and TensorFlow, and it does so when a name below is first used; importing the
package itself imports neither and changes no setting of the process. Training runs on any backend of Keras, the export
to TensorFlow Lite needs TensorFlow.

Its folders, in the order of the work: `importing` opens model and data (`from_torch` converts PyTorch modules for it,
`zoo` has networks to start from), `channels` finds which channels belong together, `cutting` divides the model into
blocks, `pruning` removes channels, `training` trains what is left, `export` writes TensorFlow Lite files, and
`accuracy` measures compositions. `jobs` has parts of this done by other processes or machines. `pipeline` runs these
stages one after another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legodnn.blocks.cutting.extract import extract as extract
    from legodnn.blocks.inspection import inspect as inspect
    from legodnn.blocks.pipeline import build as build
    from legodnn.recipe import Recipe as Recipe

_HOME = {
    "Recipe": "legodnn.recipe",
    "build": "legodnn.blocks.pipeline",
    "extract": "legodnn.blocks.cutting.extract",
    "inspect": "legodnn.blocks.inspection",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'legodnn.blocks' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
