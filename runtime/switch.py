"""What a switch changes, in which order, and which new segments may stand beside the old ones for a moment.

Decided here, as values that can be looked at; done by `model` and `runtime`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from legodnn.manifest import Segment
from legodnn.plan import ModelPlan
from legodnn.runtime.executors.base import Choice
from legodnn.store import Store

Choices = tuple[Choice, ...]


@dataclass(frozen=True)
class ModelChange:
    """What one model goes through in a switch.

    Attributes:
        model: its name.
        before, after: its choices; empty where it is suspended.
        growth: memory in bytes that it takes more after than before; negative for less.
        load: memory in bytes that loading takes at once, before anything runs.
        beside: whether the new is loaded before the old is let go. Otherwise inference waits meanwhile.
    """

    model: str
    before: Choices
    after: Choices
    growth: int = 0
    load: int = 0
    beside: bool = True

    @property
    def new(self) -> Choices:
        """The choices that did not run before."""
        return tuple(c for c in self.after if c not in self.before)


def choices(store: Store, plan: ModelPlan) -> Choices:
    """The plan's option for every segment of the store; fixed segments have only one. Empty if suspended."""

    def option(segment: Segment) -> str:
        return plan.options[segment.name] if segment.kind == "block" else segment.original.name

    if plan.suspended:
        return ()
    return tuple(Choice(s.name, option(s), plan.threads) for s in store.manifest.segments)


def in_order(changes: Iterable[ModelChange], used: int, limit: int | None) -> list[ModelChange]:
    """The changes of a switch, those that shrink first, each beside the old if there is room.

    Args:
        changes: one for each model that changes.
        used: memory in bytes of all models before the switch.
        limit: what all may take during the switch; None for no limit.
    """
    ordered = []
    for change in sorted(changes, key=lambda c: c.growth):
        ordered.append(replace(change, beside=limit is None or used + change.load <= limit))
        used += change.growth
    return ordered
