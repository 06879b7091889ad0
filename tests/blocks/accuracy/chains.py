"""Chains of made-up segments, whose accuracy falls as noise is added."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from legodnn.blocks.accuracy.option_chain import OptionChain, Stage

Array = np.ndarray
Segment = Callable[[Array], list[Array]]


def noisy(amount: float, seed: int) -> Segment:
    """A segment that passes its input on with noise added: the more noise, the less accurate the chain."""

    def segment(x: Array) -> list[Array]:
        noise = np.random.default_rng(seed).normal(size=x.shape) * amount
        return [(x + noise).astype(np.float32)]

    return segment


def chain_of(segments: list[list[Segment]]) -> OptionChain:
    """A chain of these options, by segment."""
    return OptionChain([Stage((f"t{i}",), (f"t{i + 1}",), options) for i, options in enumerate(segments)])


def chain(levels: tuple[float, ...]) -> OptionChain:
    """A chain of four segments with an option for each amount of noise."""
    return chain_of([[noisy(amount, 10 * i + j) for j, amount in enumerate(levels)] for i in range(4)])
