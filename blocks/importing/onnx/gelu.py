"""GELU as exporters write it for versions of the standard that have no such operator: by its error function.

`x / sqrt(2)`, `Erf`, `+ 1`, and then `* x` and `* .5` in either order. TensorFlow Lite has no error function, but GELU.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from legodnn.blocks.importing.onnx.file import OnnxGraph, OnnxNode


def with_gelus(graph: OnnxGraph) -> OnnxGraph:
    """Return a graph in which a node `Gelu` stands for each such group of nodes."""
    if not any(node.kind == "Erf" for node in graph.nodes):
        return graph
    found = _Nodes(graph)
    stand_ins = {last.outputs[0]: x for node in graph.nodes if node.kind == "Erf" for x, last in found.gelu_of(node)}
    nodes = tuple(
        replace(node, kind="Gelu", inputs=(stand_ins[node.outputs[0]],), attributes={})
        if node.outputs[0] in stand_ins
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes).part_for(graph.outputs)


class _Nodes:
    """The nodes of a graph by what they write and read."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.makers = {output: node for node in graph.nodes for output in node.outputs}
        self.reads = Counter(name for node in graph.nodes for name in node.inputs)
        self.readers = {name: node for node in graph.nodes for name in node.inputs}
        self.kept = set(graph.outputs)
        self.numbers = {name: float(x.ravel()[0]) for name, x in graph.constants.items() if x.size == 1}
        for node in graph.nodes:
            if node.kind == "Constant" and np.size(value := node.attributes.get("value", ())) == 1:
                self.numbers[node.outputs[0]] = float(np.ravel(value)[0])

    def gelu_of(self, erf: OnnxNode) -> list[tuple[str, OnnxNode]]:
        """Return what a GELU reads and the last of its nodes, if this is its error function."""
        x = self._scaled(self.makers.get(erf.inputs[0]))
        plus = self._reader(erf.outputs[0])
        if x is None or plus is None or plus.kind != "Add" or not self._other_is(plus, erf.outputs[0], 1.0):
            return []
        product = self._reader(plus.outputs[0])
        if product is None or product.kind != "Mul":
            return []
        factor = next((name for name in product.inputs if name != plus.outputs[0]), "")
        if factor == x:  # halved afterwards
            last = self._reader(product.outputs[0])
            halved = last is not None and last.kind == "Mul" and self._other_is(last, product.outputs[0], 0.5)
            return [(x, last)] if halved and last is not None else []
        half = self.makers.get(factor)
        is_half = half is not None and half.kind == "Mul" and x in half.inputs and self._other_is(half, x, 0.5)
        if is_half:
            return [(x, product)]
        last = self._reader(product.outputs[0])  # (1 + erf) * .5, then * x
        if self._number(factor) == 0.5 and last is not None and last.kind == "Mul" and x in last.inputs:
            return [(x, last)]
        return []

    def _scaled(self, node: OnnxNode | None) -> str | None:
        """Return what a node divides by the square root of 2."""
        if node is None or node.kind not in ("Div", "Mul") or len(node.inputs) != 2:
            return None
        wanted = 2**0.5 if node.kind == "Div" else 0.5**0.5
        for name, other in (node.inputs, node.inputs[::-1]):
            number = self._number(other)
            if number is not None and abs(number - wanted) < 1e-4 and (node.kind == "Mul" or other == node.inputs[1]):
                return name
        return None

    def _reader(self, name: str) -> OnnxNode | None:
        """Return the only node that reads a value."""
        return self.readers[name] if self.reads[name] == 1 and name not in self.kept else None

    def _other_is(self, node: OnnxNode, name: str, number: float) -> bool:
        others: list[Any] = [self._number(each) for each in node.inputs if each != name]
        return others == [number]

    def _number(self, name: str) -> float | None:
        return self.numbers.get(name)
