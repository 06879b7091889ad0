"""How a limit follows what is available without flapping.

Down at once; up only after the target has been well above for a while, and then no further than the least target of
that while. What was given and had to be taken back soon after is given more and more slowly. A function of values,
clock included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from legodnn.errors import WorkloadError


@dataclass(frozen=True)
class Hysteresis:
    """How a level follows its target.

    Attributes:
        slack: the fraction that the target may be below the level before the level follows.
        margin: the fraction that the level is then set below the target, so that the next little drop is no change.
        growth: the fraction that the target must be above the level before the level rises.
        hold_s: for how long it must be that, without a break.
        most_hold_s: a rise that is taken back within two holds doubles the hold, up to this.
    """

    slack: float = 0.0
    margin: float = 0.05
    growth: float = 0.15
    hold_s: float = 10.0
    most_hold_s: float = 300.0

    def __post_init__(self) -> None:
        sound = 0 <= self.slack < 1 and 0 <= self.margin < 1 and 0 < self.hold_s <= self.most_hold_s < math.inf
        if not (sound and 1 < (1 - self.margin) * (1 + self.growth) < math.inf):
            raise WorkloadError(
                f"{self} would flap or never move: slack and margin must be fractions, (1 - margin) x (1 + growth) "
                "above 1, and 0 < hold_s <= most_hold_s"
            )


@dataclass(frozen=True)
class Level:
    """A quantity that follows a target, and what of the past it must remember for that.

    Attributes:
        value: the level; never above what the target was, but for the slack. Infinite until something limits it.
        since_s: from when on the target has been far enough above; None if it is not.
        least: the least target since then.
        rose_s: when it last rose.
        hold_s: the present hold; None for the hysteresis' own.
    """

    value: float = math.inf
    since_s: float | None = None
    least: float = math.inf
    rose_s: float = -math.inf
    hold_s: float | None = None


def follow(level: Level, target: float, now_s: float, how: Hysteresis) -> Level:
    """The level after a target was seen."""
    hold = how.hold_s if level.hold_s is None else level.hold_s
    if target < level.value * (1 - how.slack):
        hold = min(2 * hold, how.most_hold_s) if now_s - level.rose_s <= 2 * hold else how.hold_s
        return Level(target * (1 - how.margin), rose_s=level.rose_s, hold_s=hold)
    if not target >= level.value * (1 + how.growth):
        return replace(level, since_s=None, least=math.inf)
    least = min(level.least, target)
    since = now_s if level.since_s is None else level.since_s
    if now_s - since < hold:
        return replace(level, since_s=since, least=least)
    return Level(least * (1 - how.margin), rose_s=now_s, hold_s=hold)
