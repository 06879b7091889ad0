"""Hysteresis: how a limit follows what is available without going up and down all the time.

The limit falls at once. It rises only after its target has been well above it for a while, and then no further than the
lowest target of that while. A rise that has to be taken back soon afterwards makes the next rise wait longer.
`follow` is a pure function: the clock is one of its arguments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from legodnn.errors import ConfigError
from legodnn.settings import check_kinds


@dataclass(frozen=True)
class Hysteresis:
    """The settings by which a level follows its target.

    Attributes:
        slack: the level falls when the target is more than this fraction below it.
        margin: the level is set this fraction below the target, so that the next small drop changes nothing.
        growth: the level may rise when the target is at least this fraction above it.
        hold_s: the target must be there for this many seconds without a break before the level rises.
        most_hold_s: a rise that is taken back within two holds doubles the hold, up to this many seconds.

    Raises:
        ConfigError: with these settings a level would flap, or never move.
    """

    slack: float = 0.0
    margin: float = 0.05
    growth: float = 0.15
    hold_s: float = 10.0
    most_hold_s: float = 300.0

    def __post_init__(self) -> None:
        check_kinds(self)
        sound = 0 <= self.slack < 1 and 0 <= self.margin < 1 and 0 < self.hold_s <= self.most_hold_s < math.inf
        if not (sound and 1 < (1 - self.margin) * (1 + self.growth) < math.inf):
            raise ConfigError(
                f"{self} would flap or never move: slack and margin must be fractions, (1 - margin) x (1 + growth) "
                "above 1, and 0 < hold_s <= most_hold_s"
            )


@dataclass(frozen=True)
class Level:
    """A quantity that follows a target, and what it has to remember of the past.

    Attributes:
        value: the level, in the unit of its targets. It is infinite until a target limits it.
        since_s: the time since which the target has been far enough above for a rise; None if it is not.
        least: the lowest target since then.
        rose_s: the time of the last rise.
        hold_s: the seconds that the next rise must wait; None for the hold of the settings.
        taken_back: the last rise has been taken back, and `hold_s` counts that; a fall in many steps is one.
    """

    value: float = math.inf
    since_s: float | None = None
    least: float = math.inf
    rose_s: float = -math.inf
    hold_s: float | None = None
    taken_back: bool = False


def follow(level: Level, target: float, now_s: float, how: Hysteresis) -> Level:
    """Return the level after one more target has been seen.

    Args:
        level: the level before.
        target: the highest value that the level could have now.
        now_s: the time, in seconds of a clock that never goes back.
        how: the settings.

    >>> level = follow(Level(), 100.0, 0.0, Hysteresis(hold_s=10.0))
    >>> level.value
    95.0
    >>> level = follow(level, 200.0, 1.0, Hysteresis(hold_s=10.0))
    >>> level.value
    95.0
    >>> follow(level, 200.0, 11.0, Hysteresis(hold_s=10.0)).value
    190.0
    """
    hold = how.hold_s if level.hold_s is None else level.hold_s
    if target < level.value * (1 - how.slack):
        soon = now_s - level.rose_s <= 2 * hold
        if not soon:
            hold = how.hold_s
        elif not level.taken_back:
            hold = min(2 * hold, how.most_hold_s)
        return Level(target * (1 - how.margin), rose_s=level.rose_s, hold_s=hold, taken_back=soon)
    if not target >= level.value * (1 + how.growth):
        return replace(level, since_s=None, least=math.inf)
    least = min(level.least, target)
    since = now_s if level.since_s is None else level.since_s
    if now_s - since < hold:
        return replace(level, since_s=since, least=least)
    return Level(least * (1 - how.margin), rose_s=now_s, hold_s=hold)


def recover(level: Level, usual: float, now_s: float, how: Hysteresis) -> Level:
    """Return the level while nothing is seen of what it stands for: it rises to what is usual after the wait.

    Args:
        level: the level before.
        usual: the level that is taken to be right until more is seen.
        now_s, how: as for `follow`.
    """
    if not level.value < usual:
        return level
    risen = follow(level, max(usual, level.value * (1 + how.growth)), now_s, how)
    return replace(risen, value=min(risen.value, usual))
