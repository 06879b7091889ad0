"""Allocators: how many channels each group of a block keeps, so that the block costs what it may.

An allocator is a function from a `PruningProblem` to widths. Which channels of a group stay was decided before, by the
importance that a criterion gave them, so that any allocator goes with any criterion.

A new allocator is a function with the signature of `Allocator`:

    >>> def first_group_only(problem: PruningProblem) -> Widths:
    ...     widths = problem.full.copy()
    ...     while not problem.holds(widths) and widths[0] > 1:
    ...         widths[0] -= 1
    ...     return widths
    >>> from keras import Input, Model
    >>> from keras.layers import Conv2D
    >>> x = Input((8, 8, 1))
    >>> block = Model(x, Conv2D(4, 3)(Conv2D(8, 3, name="b")(Conv2D(8, 3, name="a")(x))))
    >>> [f(pose(block, Target("macs", 0.5))).tolist() for f in (uniform, first_group_only)]
    [[5, 5], [3, 8]]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import keras
import numpy as np

from legodnn.arrays import Floats
from legodnn.blocks.channels.analysis import Channels, analyse
from legodnn.blocks.channels.channel_ids import IdArray
from legodnn.blocks.pruning.criteria import Criterion, l1
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.pruning.widths import (
    Counted,
    WidthCosts,
    Widths,
    full_widths,
    removed_ids,
    width_costs,
    widths_at,
)
from legodnn.errors import ModelError, TargetError
from legodnn.progress import Progress, no_progress

Measure = Literal["sparsity", "macs", "parameters", "bytes", "latency_ms"]


@dataclass(frozen=True)
class Target:
    """The most that a pruned block may cost.

    Attributes:
        measure: `macs` of one inference, `parameters`, `bytes` of the weights, or `latency_ms`. `sparsity` stands for
            the MACs that the block has when every group loses this share of its channels, so that allocations of one
            sparsity compare at equal MACs.
        share: of the block's own cost, in (0, 1]; for `sparsity` the share of channels that goes, in [0, 1).
        limit: the cost itself, in place of a share.

    Raises:
        ModelError: neither or both of share and limit are given, or they make no sense.
    """

    measure: Measure
    share: float | None = None
    limit: float | None = None

    def __post_init__(self) -> None:
        if (self.share is None) == (self.limit is None):
            raise ModelError(f"a target for {self.measure} has either a share or a limit")
        if self.measure == "sparsity" and (self.share is None or not 0 <= self.share < 1):
            raise ModelError(f"a sparsity is a share in [0, 1), got {self}")
        if self.measure != "sparsity" and self.share is not None and not 0 < self.share <= 1:
            raise ModelError(f"a share of {self.measure} is in (0, 1], got {self.share:g}")
        if self.limit is not None and not self.limit > 0:
            raise ModelError(f"a limit of {self.measure} is above 0, got {self.limit:g}")

    def __str__(self) -> str:
        return f"{self.measure}={self.share:g}" if self.share is not None else f"{self.limit:,.6g} {self.measure}"


@dataclass(frozen=True, eq=False)
class PruningProblem:
    """A block, what it may cost, and all that an allocator may want to know about it.

    Attributes:
        block: a Functional model.
        channels: what `analyse(block)` returned.
        target: the most that it may cost.
        importance: for each group of `channels.groups` the importance of its sets of coupled channels, shape (sets,).
        x: sample inputs of the block, shape (n, ...), or a list with one array for each input; None if there are none.
        loss: how wrong a pruned block is, less is better; None if nothing tells.
        latency: milliseconds of the block with given widths, for targets of latency.
        seed: of everything random.
        progress: shows long searches.
    """

    block: keras.Model
    channels: Channels
    target: Target
    importance: tuple[Floats, ...]
    x: Any = None
    loss: Callable[[keras.Model], float] | None = None
    latency: Callable[[Widths], float] | None = None
    seed: int = 0
    progress: Progress = field(default=no_progress)

    @cached_property
    def full(self) -> Widths:
        """The widths of the whole block, shape (groups,)."""
        return full_widths(self.channels)

    @cached_property
    def costs(self) -> WidthCosts:
        """What the block costs with given widths, in all that can be counted."""
        return width_costs(self.block, self.channels)

    @cached_property
    def limit(self) -> float:
        """The most that the block may cost, in the target's measure."""
        share = self.target.share
        if self.target.measure == "sparsity" and share is not None:
            return self.cost(widths_at(self.channels, share))
        return float(self.target.limit) if self.target.limit is not None else self.cost(self.full) * (share or 1)

    @property
    def counted(self) -> Counted | None:
        """What is counted for the target; None if it is measured."""
        if self.target.measure == "latency_ms":
            return None
        return "macs" if self.target.measure == "sparsity" else self.target.measure

    def cost(self, widths: Widths) -> float:
        """Return what the block costs with these widths, in the target's measure.

        Raises:
            ModelError: the target is a latency, and there is no `latency` to tell it.
        """
        if self.counted:
            return float(self.costs.of(self.counted, widths))
        if self.latency is None:
            raise ModelError("a target of latency needs measured latencies: pass `latency`")
        return float(self.latency(widths))

    def holds(self, widths: Widths) -> bool:
        """Whether the block costs at most its limit with these widths."""
        return self.cost(widths) <= self.limit

    def removed(self, widths: Widths) -> IdArray:
        """Return the IDs of the channels that go, the least important ones of each group."""
        return removed_ids(self.channels, widths, self.importance)

    def pruned(self, widths: Widths) -> keras.Model:
        """Return a copy of the block with these widths."""
        return remove(self.block, self.channels, self.removed(widths))


class Allocator(Protocol):
    """A function that returns how many sets of coupled channels each group keeps."""

    def __call__(self, problem: PruningProblem) -> Widths:
        """Return widths with which the block costs at most the target.

        Raises:
            TargetError: no widths do; see `check_reachable`.
        """


def pose(
    block: keras.Model,
    target: Target,
    criterion: Criterion = l1,
    x: Any = None,
    *,
    channels: Channels | None = None,
    loss: Callable[[keras.Model], float] | None = None,
    latency: Callable[[Widths], float] | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> PruningProblem:
    """Return the problem of pruning a block to a target, with the importance that a criterion gives its channels.

    The arguments are the fields of `PruningProblem`; `channels` spares an analysis if there is one already.

    Raises:
        ModelError: the criterion needs sample inputs, and there are none.
    """
    channels = channels or analyse(block)
    importance = criterion(block, channels, x) if channels.groups else np.zeros(channels.count)
    of_sets = tuple(np.array([importance[ids].sum() for ids in g.coupled]) for g in channels.groups)
    return PruningProblem(block, channels, target, of_sets, x, loss, latency, seed, progress)


def check_reachable(problem: PruningProblem) -> None:
    """Check that a target can be met when every group keeps one set of channels.

    Raises:
        TargetError: it cannot; the message says the least that can be reached, and which layers hold it and why.
    """
    least = np.ones_like(problem.full)
    if problem.holds(least):
        return
    held = ""
    if problem.counted:
        by_layer = problem.costs.by_layer(problem.counted, least)
        largest = sorted(by_layer, key=by_layer.__getitem__, reverse=True)[:3]
        held = "; most is in " + ", ".join(f"{n} ({by_layer[n]:,}: {_why_held(problem, n)})" for n in largest)
    unit = problem.counted or problem.target.measure
    raise TargetError(
        f"block {problem.block.name!r} cannot be pruned to {problem.limit:,.6g} {unit}: with one channel left in every "
        f"group it has {problem.cost(least):,.6g}{held}"
    )


def _why_held(problem: PruningProblem, layer: str) -> str:
    if reason := problem.channels.reasons.get(layer):
        return reason
    if layer in problem.costs.layers:
        return "what it reads or writes is down to one channel of each group"
    return "its channels go in and out of the block, or to layers that need them all"


def fill_up(problem: PruningProblem, widths: Widths, priority: Callable[[int, Widths], float] | None = None) -> Widths:
    """Return widths to which no group can add a set of channels without exceeding the target.

    Args:
        problem: the problem.
        widths: widths that hold the target.
        priority: of the groups that can have one more set, the one with the largest value gets it: a function of the
            group's number and the widths so far. None: the one that has lost the largest share.
    """
    rate = priority or (lambda group, now: -float(now[group] / problem.full[group]))
    widths = widths.copy()
    open_groups = set(np.flatnonzero(widths < problem.full).tolist())
    while open_groups:
        group = max(sorted(open_groups), key=lambda g: rate(g, widths))
        widths[group] += 1
        if not problem.holds(widths):
            widths[group] -= 1
            open_groups.discard(group)
        elif widths[group] == problem.full[group]:
            open_groups.discard(group)
    return widths


def uniform(problem: PruningProblem) -> Widths:
    """Keep the same share of every group, as far as whole channels allow, then fill up what the target leaves."""
    check_reachable(problem)
    shares = {0.0, 1.0}
    for n in set(problem.full.tolist()):
        shares.update(((np.arange(n) + 0.5) / n).tolist())
    steps = np.array(sorted(shares))  # where rounding takes one more channel of some group
    for sparsity in np.sort(np.concatenate([steps, (steps[1:] + steps[:-1]) / 2])):
        widths = widths_at(problem.channels, float(sparsity))
        if problem.holds(widths):
            break
    return fill_up(problem, widths)


def global_threshold(problem: PruningProblem) -> Widths:
    """Remove the least important sets of channels wherever they are, but the last of each group (Network Slimming).

    One threshold holds for all groups (Liu et al., ICCV 2017, section 3.2), so the importance has to compare between
    groups; `criteria.relative` makes it so.
    """
    check_reachable(problem)
    ranked = [np.sort(values)[::-1] for values in problem.importance]  # the k-th set that a group keeps
    sets = sorted((value, group, -k) for group, values in enumerate(ranked) for k, value in enumerate(values) if k)
    widths = problem.full.copy()
    for _, group, k in sets:  # of equal sets of a group the last one goes first
        if problem.holds(widths):
            break
        widths[group] = -k
    return fill_up(problem, widths, lambda g, now: float(ranked[g][now[g]]))


def measured_between(problem: PruningProblem) -> Widths:
    """Take those widths between `uniform` and `global_threshold` whose measured loss is least, the two included.

    A threshold compares channels one by one. What the block loses without all of them together, only measuring tells.

    Raises:
        ModelError: the problem has no `loss`.
    """
    if problem.loss is None:
        raise ModelError("allocator `measured_between` needs to know how wrong a pruned block is: pass `loss`")
    start, end = uniform(problem), global_threshold(problem)
    found: dict[tuple[int, ...], float] = {}
    for part in np.linspace(0, 1, 5):
        widths = np.rint(start + part * (end - start)).astype(np.int64)
        while not problem.holds(widths):
            widths[int(np.argmax(np.where(widths > 1, widths / problem.full, 0)))] -= 1
        widths = fill_up(problem, widths)
        key = tuple(widths.tolist())
        if key not in found:
            found[key] = problem.loss(problem.pruned(widths))
    return np.array(min(found, key=found.__getitem__), np.int64)
