"""How much is measured when a store is profiled: thread counts, time, precision, and which options are left out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from legodnn.errors import ConfigError
from legodnn.manifest import Option
from legodnn.runtime.executors.base import MOST_THREADS
from legodnn.settings import check_kinds
from legodnn.store import Store


@dataclass(frozen=True)
class Effort:
    """How much is measured of one store.

    Attributes:
        threads: thread counts at which latency is measured.
        seconds: the longest that timing may take; it ends earlier once `precision` is reached.
        precision: timing ends when the 95 % confidence interval of every median is at most this wide on either side,
            as a fraction of the median.
        processes: number of fresh processes in which memory is measured.
        plans: number of random compositions on which predicted latency is validated; 0 for no validation.
        streaming: whether it is measured what the model takes streamed (see `legodnn.workload.WorkloadModel`).
        compact: whether everything but energy is measured of compact models as well, which plans then may choose.
        dominated: whether options are measured that the store marks as dominated (another option is at most as large
            and as slow and, averaged over its neighbours, at least as accurate). Plans lose little or nothing without.

    Raises:
        ConfigError: a value makes no sense; the message begins with the attribute's name.
    """

    threads: tuple[int, ...] = (1,)
    seconds: float = 60.0
    precision: float = 0.01
    processes: int = 3
    plans: int = 20
    dominated: bool = True
    streaming: bool = False
    compact: bool = False

    def __post_init__(self) -> None:
        check_kinds(self)
        counts = self.threads
        if not counts or min(counts) < 1 or len(set(counts)) != len(counts):
            raise ConfigError(f"threads must be different positive counts, not {' '.join(map(str, counts)) or 'none'}")
        if max(counts) > MOST_THREADS:
            raise ConfigError(f"threads must be at most {MOST_THREADS}, not {max(counts)}")
        if not 0 < self.seconds < math.inf:
            raise ConfigError(f"seconds must be positive and finite, not {self.seconds:g}")
        if not 0 < self.precision < 1:
            raise ConfigError(f"precision must be a fraction between 0 and 1, not {self.precision:g}")
        if self.processes < 1:
            raise ConfigError(f"processes must be at least 1, not {self.processes}")
        if self.plans < 0:
            raise ConfigError(f"plans must not be negative, but are {self.plans}")


QUICK = Effort(seconds=8.0, precision=0.03, processes=1, plans=8, dominated=False)


def skipped_options(store: Store, effort: Effort) -> tuple[Option, ...]:
    """The options that are not measured: dominated ones, unless they count; never the original of a segment."""
    if effort.dominated:
        return ()
    segments = store.manifest.segments
    return tuple(o for s in segments for o in s.options if o.dominated and o is not s.original)
