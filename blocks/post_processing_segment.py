"""The last segment of a store that is built of a `.tflite` file with an end that is run as it is.

Everything before it is built and rated without it: descendants, the metric and agreement are about what it reads.
"""

from __future__ import annotations

import logging
from pathlib import Path

from legodnn.blocks.importing.tflite.post_processing import PostProcessing, post_processing_of
from legodnn.errors import ModelError
from legodnn.files import sha256_bytes, write_atomic
from legodnn.manifest import Manifest, Option, Segment, TensorSpec
from legodnn.model_names import TFLITE, check_model_name
from legodnn.recipe import Recipe

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


def with_post_processing(manifest: Manifest, post: PostProcessing | None, files: Path) -> Manifest:
    """Return a manifest with the post-processing as its last segment, after writing its file beside the others.

    Args:
        manifest: of the segments before it, whose outputs it reads.
        post: what is added; None: nothing.
        files: the folder of the options' files.

    Raises:
        ModelError: it reads other shapes than the segments give.
    """
    if post is None:
        return manifest
    read = manifest.outputs[: len(post.reads)]
    given = tuple(manifest.specs[name].shape for name in read)
    if given != post.reads:
        raise ModelError(f"{', '.join(post.kinds)} reads {post.reads}, and its model gives {given}; say --cut-at")
    taken = set(manifest.specs)
    named = [spec if spec.name not in taken else _renamed(spec, f"{_NAME}.{spec.name}") for spec in post.gives]
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
    fields = {name: getattr(manifest, name) for name in type(manifest).model_fields if name != "schema_"}
    model = manifest.model.model_copy(update={"reading": None})  # which is of what the post-processing reads
    added = {"segments": (*manifest.segments, segment), "tensors": (*manifest.tensors, *named), "outputs": outputs}
    return Manifest(**{**fields, **added, "model": model})


def _renamed(spec: TensorSpec, name: str) -> TensorSpec:
    return spec.model_copy(update={"name": name})
