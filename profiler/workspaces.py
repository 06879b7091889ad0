"""What the tensors of options take while they run, by what the files say: memory that the options of a model share.

A composition runs as one graph, whose tensors lie in one workspace: a tensor takes room there from the operator that
writes it to the last that reads it. So a composition needs as much as the option that needs most, beside the tensors
that pass over it from earlier segments to later ones. The model's own inputs and outputs lie elsewhere.

Options in int8 are taken to meet others in int8, in whole numbers (`executors.linked_front`): where one meets an option
in float32, the floats between them are counted there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from legodnn.manifest import Manifest
from legodnn.profile import OptionKey
from legodnn.runtime.executors.tensor_pool import lifetimes
from legodnn.runtime.tflite.cost import workspace_bytes
from legodnn.runtime.tflite.model_file import FileGraph, parse_model_file
from legodnn.runtime.tflite.quantised_ends import Form, quantised_ends
from legodnn.store import Store


def option_workspaces(store: Store) -> dict[OptionKey, int]:
    """Return the bytes of workspace that each option of a store needs in any composition.

    Raises:
        StoreError: a file was altered since the store was opened.
    """
    manifest, found = store.manifest, {}
    graphs = {}
    for segment in manifest.segments:
        for option in segment.options:
            with os.fdopen(store.open_file(option), "rb") as file:
                graphs[segment.name, option.name] = parse_model_file(file.read())
    met = _met(manifest, graphs)
    lives, ends = lifetimes(manifest), {spec.name for spec in manifest.ends}
    for number, segment in enumerate(manifest.segments):
        passing = {name for name, (first, last) in lives.items() if first < number < last and name not in ends}
        beside = sum(manifest.specs[name].bytes for name in passing)
        for option in segment.options:
            graph = graphs[segment.name, option.name]
            whole = quantised_ends(graph).only()
            named = (*zip(segment.inputs, graph.inputs, strict=True), *zip(segment.outputs, graph.outputs, strict=True))
            elsewhere = {
                i for name, i in named if name in passing or name in ends or (i in whole and whole[i] == met.get(name))
            }
            found[segment.name, option.name] = beside + workspace_bytes(graph, elsewhere)
    return found


def _met(manifest: Manifest, graphs: Mapping[OptionKey, FileGraph]) -> dict[str, Form]:
    """Return the form of whole numbers in which segments meet, by the tensor between them.

    These are tensors that no segment reads or writes in two forms, and that every segment that reads or writes them has
    an option for that does so in whole numbers.
    """
    found: dict[str, list[set[Form]]] = {}
    for segment in manifest.segments:
        forms: dict[str, set[Form]] = {name: set() for name in (*segment.inputs, *segment.outputs)}
        for option in segment.options:
            graph = graphs[segment.name, option.name]
            whole = quantised_ends(graph).only()
            for name, i in zip(forms, (*graph.inputs, *graph.outputs), strict=True):
                forms[name] |= {whole[i]} if i in whole else set()
        for name, of in forms.items():
            found.setdefault(name, []).append(of)
    ends = {spec.name for spec in manifest.ends}
    return {
        name: next(iter(of[0]))
        for name, of in found.items()
        if name not in ends and all(len(forms) == 1 for forms in of) and len(set.union(*of)) == 1
    }
