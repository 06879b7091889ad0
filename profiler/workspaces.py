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

from legodnn.manifest import Manifest, Option, Segment
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
    forms = {(s.name, o.name): _forms(store, s, o) for s in manifest.segments for o in s.options}
    met = _met(manifest, forms)
    lives, ends = lifetimes(manifest), {spec.name for spec in manifest.ends}
    for number, segment in enumerate(manifest.segments):
        passing = {name for name, (first, last) in lives.items() if first < number < last and name not in ends}
        beside = sum(manifest.specs[name].bytes for name in passing)
        for option in segment.options:
            key, graph = (segment.name, option.name), _graph(store, option)
            whole = {name for name, form in forms[key].items() if met.get(name) == form}
            elsewhere = {index for name, index in _named(segment, graph) if name in passing | ends | whole}
            found[key] = beside + workspace_bytes(graph, elsewhere)
    return found


def _graph(store: Store, option: Option) -> FileGraph:
    """Return the graph of an option; one at a time, since it holds the content of its file."""
    with os.fdopen(store.open_file(option), "rb") as file:
        return parse_model_file(file.read())


def _named(segment: Segment, graph: FileGraph) -> list[tuple[str, int]]:
    """Return the name and the index of every tensor that an option's graph shares with other segments."""
    return list(zip((*segment.inputs, *segment.outputs), (*graph.inputs, *graph.outputs), strict=True))


def _forms(store: Store, segment: Segment, option: Option) -> dict[str, Form]:
    """Return the form of whole numbers that an option makes of what it reads, or what it writes of, by the tensor."""
    graph = _graph(store, option)
    whole = quantised_ends(graph).only()
    return {name: whole[index] for name, index in _named(segment, graph) if index in whole}


def _met(manifest: Manifest, forms: Mapping[OptionKey, Mapping[str, Form]]) -> dict[str, Form]:
    """Return the form of whole numbers in which segments meet, by the tensor between them.

    These are tensors that all segments that read or write them have options for in one and the same form.
    """
    found: dict[str, list[set[Form]]] = {}  # the forms that each of these segments has
    for segment in manifest.segments:
        for name in (*segment.inputs, *segment.outputs):
            made = (forms[segment.name, option.name].get(name) for option in segment.options)
            found.setdefault(name, []).append({form for form in made if form})
    return {name: next(iter(of[0])) for name, of in found.items() if all(of) and len(set.union(*of)) == 1}
