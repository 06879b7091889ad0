"""The last segment of a store that is built of a `.tflite` file with an end that is run as it is.

Everything before it is built and rated without it: descendants, the metric and agreement are about what it reads.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from legodnn.blocks.importing.tflite.post_processing import PostProcessing, post_processing_of
from legodnn.errors import ModelError
from legodnn.files import sha256_bytes, write_atomic
from legodnn.manifest import Manifest, Option, Segment
from legodnn.model_names import TFLITE, check_model_name
from legodnn.recipe import Recipe

if TYPE_CHECKING:
    import keras

log = logging.getLogger("legodnn.blocks")

_NAME = "postprocessing"


def cut_before(recipe: Recipe) -> tuple[Recipe, PostProcessing | None]:
    """Return a recipe that ends its model before the operators without a rule, and what these compute.

    Models that are no `.tflite` files, are cut by the recipe, or have a rule for everything are left as they are.

    Raises:
        ModelError: the file cannot be read, or is damaged.
    """
    found = None if recipe.cut_at or recipe.input_shape else post_processing_at(recipe.model)
    if found is None:
        return recipe, None
    kinds = ", ".join(dict.fromkeys(found.kinds))
    log.info(
        "%s ends in %s, which devices run as it is; blocks are cut, and accuracy is measured, up to %s",
        *(recipe.model, kinds, ", ".join(found.cut_at)),
    )
    return recipe.model_copy(update={"cut_at": found.cut_at}), found


def post_processing_at(spec: str) -> PostProcessing | None:
    """Return what a model's file computes behind the operators that have a rule; None for models of other kinds."""
    if not spec.endswith(TFLITE):
        return None
    check_model_name(spec)
    try:
        return post_processing_of(Path(spec).read_bytes())
    except OSError as e:
        raise ModelError(f"cannot read {spec}: {e.strerror}") from None
    except ModelError as e:
        raise ModelError(f"{Path(spec).name}: {e}") from None


def check_reads(post: PostProcessing | None, model: keras.Model) -> None:
    """Raise ModelError if the post-processing reads other shapes than the model before it gives."""
    given = tuple(tuple(t.shape[1:]) for t in model.outputs[: len(post.reads)]) if post else ()
    if post and given != post.reads:
        raise ModelError(f"{', '.join(post.kinds)} reads {post.reads}, and its model gives {given}; say --cut-at")


def with_post_processing(manifest: Manifest, post: PostProcessing | None, files: Path) -> Manifest:
    """Return a manifest with the post-processing as its last segment, after writing its file beside the others.

    Args:
        manifest: of the segments before it, whose outputs it reads (see `check_reads`).
        post: what is added; None: nothing.
        files: the folder of the options' files.
    """
    if post is None:
        return manifest
    read = manifest.outputs[: len(post.reads)]
    named = [
        spec.model_copy(update={"name": f"{_NAME}.{spec.name}"}) if spec.name in manifest.specs else spec
        for spec in post.gives
    ]
    file = f"{_NAME}/s0.tflite"
    write_atomic(files / file, post.content)
    option = Option(
        name="s0",
        sparsity=0.0,
        precision=post.precision,
        file=file,
        sha256=sha256_bytes(post.content),
        bytes=len(post.content),
        params=post.params,
        macs=post.macs,
    )
    segment = Segment(
        name=_NAME, kind="fixed", inputs=read, outputs=tuple(spec.name for spec in named), options=(option,)
    )
    outputs = tuple(named[n].name if n >= 0 else manifest.outputs[-1 - n] for n in post.finals)
    return Manifest(
        model=manifest.model.model_copy(update={"reading": None}),  # which is of what the post-processing reads
        inputs=manifest.inputs,
        outputs=outputs,
        tensors=(*manifest.tensors, *named),
        segments=(*manifest.segments, segment),
        accuracy=manifest.accuracy,
        built=manifest.built,
    )
