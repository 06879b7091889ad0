"""AGMC: the agent of AMC sees the network as a graph (Yu et al., Auto Graph Encoder-Decoder for Neural Network Pruning,
ICCV 2021).

What AMC writes down by hand about a layer is an embedding here, of the operations around the group and of the whole
graph, with the widths as they are so far.
"""

from __future__ import annotations

import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.pruning.amc import Sight
from legodnn.blocks.pruning.group_graph import GroupGraph
from legodnn.blocks.pruning.width_search import WidthSearch
from legodnn.blocks.pruning.widths import Widths


def embedded(search: WidthSearch, graph: GroupGraph) -> Sight:
    """Return what an agent sees of a graph: the group's embedding, the graph's, and how much may still be spent.

    Args:
        search: what is searched for.
        graph: of the block whose groups the widths are of.
    """
    whole = search.cost(search.full)

    def sight(widths: Widths, group: int) -> Floats:
        of_groups, of_graph = graph.embed(widths / search.full)
        spent = search.cost(widths) / whole
        rest = search.cost(np.concatenate([widths[:group], search.least[group:]])) / whole
        return np.array([*of_groups[group], *of_graph, spent, search.limit / whole - rest])

    return sight
