"""The policy of a governor: which budget follows from what the device can spare, and why.

    state, decision = decide(Policy(), demand, State(), situation)

`decide` is a pure function: it reads no clock, no file and no runtime; `governor` carries its decisions out. Memory and
compute follow what is available, and each model's speed and tail follow what was measured of it, all by the same rule
(`hysteresis`): down at once, up slowly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from legodnn.errors import ConfigError
from legodnn.runtime.device.fair_share import Competitor, fair_cores
from legodnn.runtime.device.monitor import Readings
from legodnn.runtime.governing.hysteresis import Hysteresis, Level, follow, recover
from legodnn.settings import check_kinds
from legodnn.units import size
from legodnn.workload import Budget

# The pressure that the system reports is an average over this many seconds. For as long after models gave memory back
# it still shows the time before that, and does not count.
_PRESSURE_AVERAGE_S = 10.0
_SLOWEST, _FASTEST = 0.01, 100.0  # bounds of a model's speed, as a factor of the profiled speed
_LEAST_CORES = 0.01
_Factors = Mapping[str, float]  # by model


@dataclass(frozen=True)
class Policy:
    """The settings by which readings become budgets.

    Attributes:
        reserve: the share of all memory that is left free, 0 to 1.
        pressure: models give memory back when processes wait for memory for this share of the time (PSI, which the
            kernel tells in percent), above 0 and at most 1.
        relief: the share of their memory that models keep then, and the share of the processors that they keep while
            the device holds its processors back (heat, power); 0 to 1.
        observations: the number of inferences of a model from which its speed is judged.
        memory, cores, speed, tail: how the limits of memory and compute, the models' speeds, and those of their slowest
            inferences, follow their targets.

    Raises:
        ConfigError: a setting makes no sense.
    """

    reserve: float = 0.1
    pressure: float = 0.1
    relief: float = 0.8
    observations: int = 15
    memory: Hysteresis = field(default_factory=Hysteresis)
    cores: Hysteresis = field(default_factory=lambda: Hysteresis(slack=0.1, growth=0.25))
    speed: Hysteresis = field(default_factory=lambda: Hysteresis(slack=0.1, margin=0.0))
    tail: Hysteresis = field(default_factory=lambda: Hysteresis(slack=0.05, margin=0.0))

    def __post_init__(self) -> None:
        check_kinds(self)
        if not (0 <= self.reserve < 1 and 0 < self.pressure <= 1 and 0 < self.relief <= 1 and self.observations > 0):
            raise ConfigError(
                "a policy's reserve is a fraction, its pressure and relief above 0 and at most 1, its observations "
                f"positive; got {self.reserve}, {self.pressure}, {self.relief} and {self.observations}"
            )


@dataclass(frozen=True)
class Demand:
    """What the application allows, and the most that its models can use.

    Attributes:
        budget: the application's own budget; no decision is wider.
        most_memory_bytes: the memory of the models' largest options; a higher limit is no limit.
        most_cores: the processors that the models' slowest options keep busy at their rates, with the slow-downs that
            are expected; None if a model has no rate. Then compute is not limited.
        expected: by model, the slow-down that it is planned for until enough inferences were observed; 1 for models
            that are not named.
    """

    budget: Budget
    most_memory_bytes: int
    most_cores: float | None = None
    expected: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Situation:
    """What is known at one moment.

    Attributes:
        readings: the state of the device.
        held_bytes: the memory that the models hold now. They can keep it, besides what is available.
        ratios: by model, how many times longer than profiled its inferences take; only models with enough inferences.
        excesses: by model, how many times longer than its profile promises the share of inferences takes that its limit
            of latency is for; only models with a limit and enough inferences.
        suspended: the models that do not run, of which nothing is seen: one that was slow is tried again after a while.
    """

    readings: Readings
    held_bytes: int
    ratios: Mapping[str, float] = field(default_factory=dict)
    excesses: Mapping[str, float] = field(default_factory=dict)
    suspended: Set[str] = frozenset()


@dataclass(frozen=True)
class State:
    """What is remembered from one decision to the next.

    Attributes:
        memory: the memory limit, in bytes.
        cores: the compute limit, in processors.
        speed: by model, its speed as a factor of the profiled speed.
        tail: by model, the speed of its slowest inferences as a factor of what its profile promises; only models of
            which enough was seen.
        relieved_s: when models last had to give memory back because of pressure.
    """

    memory: Level = field(default_factory=Level)
    cores: Level = field(default_factory=Level)
    speed: Mapping[str, Level] = field(default_factory=dict)
    tail: Mapping[str, Level] = field(default_factory=dict)
    relieved_s: float = -math.inf


@dataclass(frozen=True)
class DecidedChange:
    """One thing that a decision changes.

    Attributes:
        what: "memory", "cores", "speed of NAME" or "tail of NAME".
        before, after: bytes, processors, the factor of the slow-down, or that of the tail; None for no limit.
        why: the reason, in one line for people.
    """

    what: str
    before: float | None
    after: float | None
    why: str


@dataclass(frozen=True)
class Decision:
    """The budget and the slow-downs to plan for.

    Attributes:
        budget: the limits.
        slowdown: by model, how many times longer than profiled its inferences take; only models whose slow-down is not
            the expected one.
        tail: by model, how many times longer than planned its slowest inferences take, beside the slow-down (see
            `Scheduler.plan`); only models of which enough was seen.
        changes: what differs from the decision before; if nothing does, there is nothing to do.
    """

    budget: Budget
    slowdown: Mapping[str, float]
    tail: Mapping[str, float] = field(default_factory=dict)
    changes: tuple[DecidedChange, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The decision as JSON data, for a log line."""
        budget = self.budget.model_dump(exclude_none=True)
        slowdown, tail = (
            {name: round(factor, 4) for name, factor in factors.items()} for factors in (self.slowdown, self.tail)
        )
        changes = [asdict(change) for change in self.changes]
        return {"budget": budget, "slowdown": slowdown, "tail": tail, "changes": changes}


def decide(policy: Policy, demand: Demand, state: State, situation: Situation) -> tuple[State, Decision]:
    """Decide what the models should be planned for now.

    Args:
        policy: the settings.
        demand: what the application allows, and its models can use.
        state: the state that the decision before returned; `State()` for the first decision.
        situation: what is known now.

    Returns:
        The state for the next decision, and the decision.
    """
    now = situation.readings.time_s
    pressed = _pressed(policy, state, situation.readings)
    new = State(
        memory=follow(state.memory, _memory(policy, state, situation, pressed), now, policy.memory),
        cores=state.cores,
        speed=_speeds(state.speed, situation, situation.ratios, demand.expected, policy.speed),
        tail=_speeds(state.tail, situation, situation.excesses, {}, policy.tail),
        relieved_s=now if pressed else state.relieved_s,
    )
    if (cores := _cores(policy, demand, situation.readings)) is not None:
        new = replace(new, cores=follow(state.cores, cores, now, policy.cores))
    budget, slowdown = _budget_and_slowdowns(demand, new)
    changes = _changes(demand, state, new, situation, pressed)
    return new, Decision(budget, slowdown, _tails(demand, new, slowdown), changes)


def _speeds(
    levels: Mapping[str, Level], situation: Situation, seen: _Factors, expected: _Factors, rule: Hysteresis
) -> dict[str, Level]:
    """The speeds of models, following how many times longer than planned their inferences were seen to take.

    A suspended model is known to be slow no longer: else it would never run again, though nothing slows it down now.
    """
    followed, now = dict(levels), situation.readings.time_s
    for name, factor in seen.items():
        level = levels.get(name, Level(1 / expected.get(name, 1.0)))
        followed[name] = follow(level, min(max(1 / factor, _SLOWEST), _FASTEST), now, rule)
    for name in situation.suspended & levels.keys():
        followed[name] = recover(levels[name], 1 / expected.get(name, 1.0), now, rule)
    return followed


def _pressed(policy: Policy, state: State, readings: Readings) -> bool:
    pressure, since = readings.memory_pressure, readings.time_s - state.relieved_s
    return pressure is not None and pressure >= policy.pressure and since >= _PRESSURE_AVERAGE_S


def _memory(policy: Policy, state: State, situation: Situation, pressed: bool) -> float:
    """The bytes that models could hold: what they hold and what is available, less the reserve; less under pressure."""
    readings = situation.readings
    spare = readings.memory_available_bytes - policy.reserve * readings.memory_total_bytes
    target = max(1.0, situation.held_bytes + spare)
    if pressed:
        return min(target, max(1.0, situation.held_bytes * policy.relief))
    if readings.memory_pressure is not None and readings.memory_pressure >= policy.pressure:
        return min(target, state.memory.value)  # memory was given back a moment ago; nothing grows until that shows
    return target


def _cores(policy: Policy, demand: Demand, readings: Readings) -> float | None:
    """The processors that models could keep busy; None if that is not known."""
    if demand.most_cores is None or readings.busy_cores is None or readings.own_cores is None:
        return None
    allowed = readings.cores_allowed * (policy.relief if readings.throttled else 1.0)
    free = readings.cores_total - max(0.0, readings.busy_cores - readings.own_cores)
    return max(_LEAST_CORES, min(allowed, max(free, _share(demand.most_cores, readings))))


def _share(most_cores: float, readings: Readings) -> float:
    """The processors that the kernel would give to models that want all they can use, beside the other processes."""
    others = max(0.0, (readings.busy_cores or 0.0) - (readings.own_cores or 0.0))
    unseen = max(0.0, others - sum(c.cores for c in readings.competing))
    wanted = min(most_cores, readings.cores_allowed)
    return fair_cores(readings.cores_total, (*readings.competing, Competitor(unseen, 1.0)), wanted)


def _budget_and_slowdowns(demand: Demand, state: State) -> tuple[Budget, dict[str, float]]:
    """The budget that a state stands for, and the slow-downs that differ from the expected ones."""
    own = demand.budget
    unlike = {name: level.value for name, level in state.speed.items() if level.value != _expected_speed(demand, name)}
    slower = max([1.0, *(_expected_speed(demand, name) / speed for name, speed in unlike.items())])
    memory = _limit(state.memory, demand.most_memory_bytes, own.memory_bytes)
    cores = own.cores if demand.most_cores is None else _limit(state.cores, slower * demand.most_cores, own.cores)
    budget = Budget(
        memory_bytes=None if memory is None else max(1, int(memory)),
        latency_ms=own.latency_ms,
        quantile=own.quantile,
        cores=cores,
    )
    return budget, {name: 1 / speed for name, speed in unlike.items()}


def _tails(demand: Demand, state: State, slowdown: Mapping[str, float]) -> dict[str, float]:
    """What the slowest inferences take more than planned: what was seen of them counts instead of the slow-down."""
    expected = {name: demand.expected.get(name, 1.0) for name in state.tail}
    return {
        name: min(expected[name] / level.value / slowdown.get(name, expected[name]), _FASTEST)
        for name, level in state.tail.items()
    }


def _expected_speed(demand: Demand, name: str) -> float:
    return 1 / demand.expected.get(name, 1.0)


def _limit(level: Level, most: float, own: float | None) -> float | None:
    """The lower of a level and the application's own limit; None if neither limits what models can use."""
    limit = min(level.value if level.value < most else math.inf, math.inf if own is None else own)
    return None if limit == math.inf else limit


def _changes(
    demand: Demand, before: State, after: State, situation: Situation, pressed: bool
) -> tuple[DecidedChange, ...]:
    readings, changes = situation.readings, []
    (was, was_slow), (now, now_slow) = _budget_and_slowdowns(demand, before), _budget_and_slowdowns(demand, after)
    if was.memory_bytes != now.memory_bytes:
        free = f"{size(readings.memory_available_bytes)} of {size(readings.memory_total_bytes)} available"
        why = f"{free} besides the models' {size(situation.held_bytes)}"
        if pressed:
            why = f"processes wait for memory {readings.memory_pressure or 0:.0%} of the time; {why}"
        changes.append(DecidedChange("memory", was.memory_bytes, now.memory_bytes, why))
    if was.cores != now.cores:
        busy, own = readings.busy_cores or 0.0, readings.own_cores or 0.0
        why = f"others keep {max(0.0, busy - own):.2f} of {readings.cores_total:g} processors busy"
        why += f"; models would get {_share(demand.most_cores or 0.0, readings):.2f} of them"
        why = f"held back ({readings.throttled}); {why}" if readings.throttled else why
        changes.append(DecidedChange("cores", was.cores, now.cores, why))
    for name in sorted(now_slow.keys() | was_slow.keys()):
        old, new = (slow.get(name, demand.expected.get(name, 1.0)) for slow in (was_slow, now_slow))
        if old != new:
            changes.append(DecidedChange(f"speed of {name}", old, new, _slow(situation, name)))
    for name, level in after.tail.items():
        old, new = (1 / value for value in (before.tail.get(name, Level(1.0)).value, level.value))
        if old != new:
            changes.append(DecidedChange(f"tail of {name}", old, new, _slow(situation, name, slowest=True)))
    return tuple(changes)


def _slow(situation: Situation, name: str, slowest: bool = False) -> str:
    """Why the speed of a model's inferences changes, or that of its slowest ones."""
    if name in situation.suspended:
        return "it has been suspended for a while: perhaps it is slow no longer"
    what, than = ("slowest inferences", "promised") if slowest else ("inferences", "profiled")
    why = f"its {what} take {(situation.excesses if slowest else situation.ratios)[name]:.2f} times as long as {than}"
    throttled = situation.readings.throttled
    return f"{why}; held back ({throttled})" if throttled else why
