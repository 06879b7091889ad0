"""Nested dicts and lists of arrays as the flat set of named arrays that an .npz file holds, and back.

Arrays are numbered, and one more entry, `structure`, is JSON text that says where each number belongs. So keys may be
any text, and no key can be mistaken for a path made of others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A mapping from text to arrays, lists and further mappings, however deep.
ArrayTree = Mapping[str, Any]

_STRUCTURE = "structure"


def flatten(tree: ArrayTree) -> dict[str, NDArray[Any]]:
    """Return the arrays of a tree by number, with the tree's structure.

    >>> flat = flatten({"step": np.array(7), "weights": [np.zeros(3), np.ones(2)]})
    >>> list(flat)
    ['0', '1', '2', 'structure']
    >>> bytes(flat["structure"])
    b'{"step": 0, "weights": [1, 2]}'

    Args:
        tree: a mapping whose leaves are arrays or plain numbers.
    """
    arrays: list[NDArray[Any]] = []

    def numbered(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {key: numbered(child) for key, child in node.items()}
        if isinstance(node, list | tuple):
            return [numbered(child) for child in node]
        arrays.append(np.asarray(node))
        return len(arrays) - 1

    structure = json.dumps(numbered(tree)).encode("ascii")
    return {**{str(i): a for i, a in enumerate(arrays)}, _STRUCTURE: np.frombuffer(structure, np.uint8)}


def unflatten(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the tree that `flatten` was given, tuples as lists.

    Raises:
        ValueError: these are not arrays that `flatten` returned.
    """

    def with_arrays(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: with_arrays(child) for key, child in node.items()}
        if isinstance(node, list):
            return [with_arrays(child) for child in node]
        return arrays[str(node)]

    try:
        tree = with_arrays(json.loads(arrays[_STRUCTURE].tobytes()))
    except (KeyError, ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise ValueError("its arrays do not say how they belong together")
    return tree
