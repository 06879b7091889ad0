"""What the tensors of options take while they run, by what the files say: memory that the options of a model share.

A composition runs as one graph, whose tensors lie in one workspace: a tensor takes room there from the operator that
writes it to the last that reads it. So a composition needs as much as the option that needs most, beside the tensors
that pass over it from earlier segments to later ones. The model's own inputs and outputs lie elsewhere.
"""

from __future__ import annotations

import os

from legodnn.profile import OptionKey
from legodnn.runtime.executors.tensor_pool import lifetimes
from legodnn.runtime.tflite.cost import workspace_bytes
from legodnn.runtime.tflite.model_file import parse_model_file
from legodnn.store import Store


def option_workspaces(store: Store) -> dict[OptionKey, int]:
    """Return the bytes of workspace that each option of a store needs in any composition.

    Raises:
        StoreError: a file was altered since the store was opened.
    """
    manifest, found = store.manifest, {}
    lives, ends = lifetimes(manifest), {spec.name for spec in manifest.ends}
    for number, segment in enumerate(manifest.segments):
        passing = {name for name, (first, last) in lives.items() if first < number < last and name not in ends}
        beside = sum(manifest.specs[name].bytes for name in passing)
        for option in segment.options:
            with os.fdopen(store.open_file(option), "rb") as file:
                graph = parse_model_file(file.read())
            named = (*zip(segment.inputs, graph.inputs, strict=True), *zip(segment.outputs, graph.outputs, strict=True))
            elsewhere = {index for name, index in named if name in passing or name in ends}
            found[segment.name, option.name] = beside + workspace_bytes(graph, elsewhere)
    return found
