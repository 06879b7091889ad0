"""From what the device can spare to a budget, with the reason: decided here, done elsewhere.

    state, decision = decide(Policy(), task, State(), situation)

`decide` is a function of values: no clock, no files, no runtime. Memory and compute follow what is available, and each
model's speed follows what was measured of it, by one rule (`hysteresis`): down at once, up slowly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from legodnn.errors import WorkloadError
from legodnn.runtime.device.fair_share import Competitor, fair_cores
from legodnn.runtime.device.monitor import Readings
from legodnn.runtime.governing.hysteresis import Hysteresis, Level, follow
from legodnn.units import size
from legodnn.workload import Budget

# After relief, pressure is not believed for as long as the average reaches back that the system reports.
_PRESSURE_MEMORY_S = 10.0
_SLOWEST, _FASTEST = 0.01, 100.0
_LEAST_CORES = 0.01


@dataclass(frozen=True)
class Policy:
    """What to make of readings.

    Attributes:
        reserve: the share of all memory that is left free.
        pressure: the share of time that processes wait for memory (PSI) from which on models give some back.
        relief: the share of what they hold that models keep then; and of the processors that they get under heat.
        observations: so many inferences of a model are needed before its speed is judged.
        memory, cores, speed: how each follows.
    """

    reserve: float = 0.1
    pressure: float = 0.1
    relief: float = 0.8
    observations: int = 15
    memory: Hysteresis = field(default_factory=Hysteresis)
    cores: Hysteresis = field(default_factory=lambda: Hysteresis(slack=0.1, growth=0.25))
    speed: Hysteresis = field(default_factory=lambda: Hysteresis(slack=0.1, margin=0.0))

    def __post_init__(self) -> None:
        if not (0 <= self.reserve < 1 and self.pressure > 0 and 0 < self.relief <= 1 and self.observations > 0):
            raise WorkloadError(
                "a policy's reserve is a fraction, its relief above 0 and at most 1, its pressure and observations "
                f"positive; got {self.reserve}, {self.relief}, {self.pressure} and {self.observations}"
            )


@dataclass(frozen=True)
class Task:
    """What does not change.

    Attributes:
        budget: the application's own; what is decided is never wider.
        most_memory_bytes: what the models hold at the most; a limit beyond it is no limit.
        most_cores: the compute that they take at the most; None if it is not known, since a model has no rate: then
            compute is not limited.
        expected: by model, the slow-down that it is planned for until it is observed; 1 for models not named.
    """

    budget: Budget
    most_memory_bytes: int
    most_cores: float | None = None
    expected: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Situation:
    """What was seen.

    Attributes:
        readings: of the device.
        held_bytes: what the models hold now; it is theirs besides what is available.
        ratios: by model, how many times longer than profiled its inferences take; only models well enough observed.
    """

    readings: Readings
    held_bytes: int
    ratios: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """What is remembered from one decision to the next: the levels, and when memory was last given back."""

    memory: Level = field(default_factory=Level)
    cores: Level = field(default_factory=Level)
    speed: Mapping[str, Level] = field(default_factory=dict)
    relieved_s: float = -math.inf


@dataclass(frozen=True)
class DecidedChange:
    """One thing that a decision changes.

    Attributes:
        what: "memory", "cores" or "speed of NAME".
        before, after: bytes, cores, or the slow-down's factor; None for no limit.
        why: for people, in one line.
    """

    what: str
    before: float | None
    after: float | None
    why: str


@dataclass(frozen=True)
class Decision:
    """A budget and slow-downs to plan for, and what is new in them; nothing is to be done where nothing is new."""

    budget: Budget
    slowdown: Mapping[str, float]
    changes: tuple[DecidedChange, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For log lines."""
        budget = self.budget.model_dump(exclude_none=True)
        slowdown = {name: round(factor, 4) for name, factor in self.slowdown.items()}
        return {"budget": budget, "slowdown": slowdown, "changes": [asdict(change) for change in self.changes]}


def decide(policy: Policy, task: Task, state: State, situation: Situation) -> tuple[State, Decision]:
    """What the models should be planned for now."""
    now = situation.readings.time_s
    pressed = _pressed(policy, state, now, situation)
    new = State(
        memory=follow(state.memory, _memory(policy, state, situation, pressed), now, policy.memory),
        cores=state.cores,
        speed=dict(state.speed),
        relieved_s=now if pressed else state.relieved_s,
    )
    if (cores := _cores(policy, task, situation.readings)) is not None:
        new = replace(new, cores=follow(state.cores, cores, now, policy.cores))
    for name, ratio in situation.ratios.items():
        speed = min(max(1 / ratio, _SLOWEST), _FASTEST)
        level = state.speed.get(name, Level(_expected_speed(task, name)))
        new.speed[name] = follow(level, speed, now, policy.speed)  # type: ignore[index]
    budget, slowdown = _asked(task, new)
    return new, Decision(budget, slowdown, _changes(task, state, new, situation, pressed))


def _pressed(policy: Policy, state: State, now_s: float, situation: Situation) -> bool:
    pressure = situation.readings.memory_pressure
    return pressure is not None and pressure >= policy.pressure and now_s - state.relieved_s >= _PRESSURE_MEMORY_S


def _memory(policy: Policy, state: State, situation: Situation, pressed: bool) -> float:
    """The memory that models could hold: what is available besides theirs, less the reserve."""
    readings = situation.readings
    spare = readings.memory_available_bytes - policy.reserve * readings.memory_total_bytes
    target = max(1.0, situation.held_bytes + spare)
    if pressed:
        return min(target, max(1.0, situation.held_bytes * policy.relief))
    if readings.memory_pressure is not None and readings.memory_pressure >= policy.pressure:
        return min(target, state.memory.value)  # relief was given a moment ago; nothing grows meanwhile
    return target


def _cores(policy: Policy, task: Task, readings: Readings) -> float | None:
    """The processor seconds for each second that models could have; None if that is not known."""
    if task.most_cores is None or readings.busy_cores is None or readings.own_cores is None:
        return None
    allowed = readings.cores_allowed * (policy.relief if readings.throttled else 1.0)
    free = readings.cores_total - max(0.0, readings.busy_cores - readings.own_cores)
    return max(_LEAST_CORES, min(allowed, max(free, _share(task.most_cores, readings))))


def _share(most_cores: float, readings: Readings) -> float:
    """The processor seconds for each second that models would get if they wanted all that they can use."""
    others = max(0.0, (readings.busy_cores or 0.0) - (readings.own_cores or 0.0))
    unseen = max(0.0, others - sum(c.cores for c in readings.competing))
    wanted = min(most_cores, readings.cores_allowed)
    return fair_cores(readings.cores_total, (*readings.competing, Competitor(unseen, 1.0)), wanted)


def _asked(task: Task, state: State) -> tuple[Budget, dict[str, float]]:
    """The budget and slow-downs of a state."""
    own = task.budget
    memory = _limit(state.memory, task.most_memory_bytes, own.memory_bytes)
    cores = own.cores if task.most_cores is None else _limit(state.cores, task.most_cores, own.cores)
    budget = Budget(
        memory_bytes=None if memory is None else max(1, int(memory)), latency_ms=own.latency_ms, cores=cores
    )
    unlike = {name: level.value for name, level in state.speed.items() if level.value != _expected_speed(task, name)}
    return budget, {name: 1 / speed for name, speed in unlike.items()}


def _expected_speed(task: Task, name: str) -> float:
    return 1 / task.expected.get(name, 1.0)


def _limit(level: Level, most: float, own: float | None) -> float | None:
    """A level and the application's own limit as one; a level beyond all that can be used is none."""
    limit = min(level.value if level.value < most else math.inf, math.inf if own is None else own)
    return None if limit == math.inf else limit


def _changes(task: Task, before: State, after: State, situation: Situation, pressed: bool) -> tuple[DecidedChange, ...]:
    readings, changes = situation.readings, []
    (was, was_slow), (now, now_slow) = _asked(task, before), _asked(task, after)
    if was.memory_bytes != now.memory_bytes:
        free = f"{size(readings.memory_available_bytes)} of {size(readings.memory_total_bytes)} available"
        why = f"{free} besides the models' {size(situation.held_bytes)}"
        if pressed:
            why = f"processes wait for memory {readings.memory_pressure or 0:.0%} of the time; {why}"
        changes.append(DecidedChange("memory", was.memory_bytes, now.memory_bytes, why))
    if was.cores != now.cores:
        busy, own = readings.busy_cores or 0.0, readings.own_cores or 0.0
        why = f"others keep {max(0.0, busy - own):.2f} of {readings.cores_total:g} processors busy"
        why += f"; models would get {_share(task.most_cores or 0.0, readings):.2f} of them"
        why = f"held back ({readings.throttled}); {why}" if readings.throttled else why
        changes.append(DecidedChange("cores", was.cores, now.cores, why))
    for name in sorted(now_slow.keys() | was_slow.keys()):
        old, new = (slow.get(name, task.expected.get(name, 1.0)) for slow in (was_slow, now_slow))
        if old != new:
            why = f"its inferences take {situation.ratios[name]:.2f} times as long as profiled"
            changes.append(DecidedChange(f"speed of {name}", old, new, f"{why}{_heat(readings)}"))
    return tuple(changes)


def _heat(readings: Readings) -> str:
    return f"; held back ({readings.throttled})" if readings.throttled else ""
