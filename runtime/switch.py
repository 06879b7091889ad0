"""Deciding a switch: what changes, in which order, and which new segments are loaded while the old ones still run.

The result is a list of values that can be printed and compared. `runtime` and `running_model` carry it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from legodnn.manifest import Segment
from legodnn.plan import ModelPlan
from legodnn.runtime.executors.base import Choice
from legodnn.store import Store

Choices = tuple[Choice, ...]

# Room for what composing a model takes for a moment, whatever its options: its graph is read and compiled. Without it
# 6 of 200 switches of a U-Net took up to 0.8 MB more than the limit.
_COMPOSING_BYTES = 1_500_000


@dataclass(frozen=True)
class ModelChange:
    """The change of one model in a switch.

    Attributes:
        model: the model's name.
        before, after: its choices, one for each segment; empty where it is suspended.
        growth: bytes of memory that the model takes more after the change than before; negative if it takes less.
        load: bytes of memory that loading takes at once, before anything runs.
        beside: whether the new segments are loaded before the old ones are let go. If not, inference waits meanwhile.

    Example:

        >>> stem, small, large = Choice("stem", "s0", 1), Choice("block1", "s0.5", 1), Choice("block1", "s0", 1)
        >>> ModelChange("vgg16", before=(stem, large), after=(stem, small), growth=-40_000).new
        (Choice(segment='block1', option='s0.5', threads=1, streamed=False, compact=False),)
    """

    model: str
    before: Choices
    after: Choices
    growth: int = 0
    load: int = 0
    beside: bool = True

    @property
    def new(self) -> Choices:
        """The choices that did not run before the change."""
        return tuple([c for c in self.after if c not in self.before])


@dataclass(frozen=True)
class Switch:
    """What the last change of plan did, and how long it took.

    Attributes:
        loaded: by model, the choices that run now and did not run before.
        plan_ms: milliseconds that it took to find the plan.
        switch_ms: milliseconds from then until all models ran it.
    """

    loaded: Mapping[str, Choices]
    plan_ms: float
    switch_ms: float


def planned_choices(store: Store, plan: ModelPlan) -> Choices:
    """Return the choice that a plan makes for every segment of a store, in topological order.

    Fixed segments have only one option. For a suspended model the result is empty.
    """

    def option(segment: Segment) -> str:
        return plan.options[segment.name] if segment.kind == "block" else segment.original.name

    if plan.suspended:
        return ()
    # Made from a list, as all tuples are that each switch makes: Python never gives back the memory of up to 2,000 of
    # each length that were made without knowing it.
    how = (plan.threads, plan.streamed, plan.compact)
    return tuple([Choice(s.name, option(s), *how) for s in store.manifest.segments])


def in_order(changes: Iterable[ModelChange], used: int, limit: int | None) -> list[ModelChange]:
    """Return the changes of a switch in the order in which they are made: those that free the most memory come first.

    Each is marked to load its new segments beside the old ones if there is room for both at that point.

    Args:
        changes: one for each model that changes.
        used: bytes of memory of all models before the switch.
        limit: bytes that all models may take during the switch; None for no limit.

    Example:

        >>> grows = ModelChange("a", (), (), growth=3_000_000, load=3_000_000)
        >>> shrinks = ModelChange("b", (), (), growth=-5_000_000, load=1_000_000)
        >>> [(c.model, c.beside) for c in in_order([grows, shrinks], used=10_000_000, limit=10_000_000)]
        [('b', False), ('a', True)]
    """
    ordered = []
    for change in sorted(changes, key=lambda c: c.growth):
        ordered.append(replace(change, beside=limit is None or used + change.load + _COMPOSING_BYTES <= limit))
        used += change.growth
    return ordered
