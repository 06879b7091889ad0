"""What the scheduler answers: a plan, or the report of why there is none. Plain data, JSON both ways."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from legodnn.errors import WorkloadError
from legodnn.files import write_atomic
from legodnn.schema import (
    MOST_METRIC,
    MOST_MODELS,
    MOST_SEGMENTS,
    MOST_SUM,
    Many,
    Memory,
    MetricValue,
    Name,
    Schema,
    Sum,
    Threads,
    read_document,
    to_json,
)
from legodnn.units import size
from legodnn.workload import Budget

PLAN_VERSION = "legodnn.plan/1"


class ModelPlan(Schema):
    """What one model is to run, and what is predicted of it.

    Attributes:
        name: the model's name in the workload.
        suspended: a best-effort model for which there is no room: not loaded, no options; all figures are 0.
        threads: thread count of every segment.
        options: block name -> option name, in topological order.
        accuracy: predicted metric; nine in ten such predictions are within `accuracy_error`, as the store found by
            cross-validation (in a store that measured no likely plans it is the mean error of random compositions).
        latency_ms: predicted latency of an inference, slow-down included.
        latency_limit_ms: the limit that held for this model; None for none.
        memory_bytes: predicted memory, fixed segments included.
        cores: rate x threads x latency; 0 where no rate was given.
    """

    name: Name
    suspended: bool = False
    threads: Threads = 1
    options: dict[Name, Name] = Field(default_factory=dict, max_length=MOST_SEGMENTS)
    accuracy: MetricValue = 0.0
    accuracy_error: float = Field(default=0.0, ge=0, le=MOST_METRIC)
    latency_ms: Sum = 0.0
    latency_limit_ms: Sum | None = None
    memory_bytes: Memory = 0
    cores: Sum = 0.0

    def __str__(self) -> str:
        if self.suspended:
            return f"{self.name}: suspended"
        threads = "" if self.threads == 1 else f", {self.threads} threads"
        options = " ".join(f"{block}={option}" for block, option in self.options.items())
        return (
            f"{self.name}: accuracy {self.accuracy:.4g} ± {self.accuracy_error:.2g}, {self.latency_ms:.3g} ms{threads}"
            f", {size(self.memory_bytes)}: {options or 'no blocks'}"
        )


class Plan(Schema):
    """One option for every block of every model, and what that is predicted to give.

    Attributes:
        objective: sum over running models of weight x accuracy.
        switch_charge: what was charged for leaving the running plan, in the objective's units.
        gap: no plan that holds the budget is worth more than this one by more than so much (objective less charge); 0
            where it is proven to be the best. More than 0 where time was up before that was proven.
    """

    schema_: Literal["legodnn.plan/1"] = Field(default="legodnn.plan/1", alias="schema")
    models: Many[ModelPlan] = Field(min_length=1, max_length=MOST_MODELS)
    budget: Budget
    objective: float = Field(ge=-MOST_SUM, le=MOST_SUM)
    switch_charge: Sum = 0.0
    gap: Sum = 0.0

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len({m.name for m in self.models}) < len(self.models):
            raise ValueError("two models have the same name")
        return self

    def __getitem__(self, name: str) -> ModelPlan:
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)

    @property
    def memory_bytes(self) -> int:
        """Predicted memory of all models together."""
        return sum(m.memory_bytes for m in self.models)

    @property
    def cores(self) -> float:
        """Predicted compute of all models together."""
        return sum(m.cores for m in self.models)

    @property
    def suspended(self) -> tuple[str, ...]:
        """Names of the models that this plan suspends."""
        return tuple(m.name for m in self.models if m.suspended)

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan; WorkloadError if it is damaged or of another version."""
        return read_document(Path(path), cls, PLAN_VERSION, WorkloadError, "make it again with `legodnn plan --json`")

    def save(self, path: str | Path) -> None:
        """Write the plan atomically."""
        write_atomic(Path(path), to_json(self))

    def __str__(self) -> str:
        return "\n".join(str(m) for m in self.models)


class Gain(Schema):
    """What a little more room would change.

    Attributes:
        objective: the difference of the objective; it can be negative where a suspended model resumes.
        resumes: models that would no longer be suspended.
    """

    objective: float
    resumes: tuple[str, ...] = ()


class Gains(Schema):
    """What one more megabyte, a tenth of a core, or one more millisecond for one model would buy; for limits set."""

    memory: Gain | None = None
    cores: Gain | None = None
    latency: dict[str, Gain] = Field(default_factory=dict)


class Limit(Schema):
    """One limit in a report.

    Attributes:
        kind: which limit: memory (bytes), cores, latency (ms) or accuracy (the metric).
        model: whose, for latency and accuracy.
        limit: its value.
        needed: the least change of this limit alone that lets a plan exist, as the limit's new value; None if no
            value of this limit alone does.
        clashes: whether it belongs to the set of limits that cannot hold together.
    """

    kind: Literal["memory", "cores", "latency", "accuracy"]
    model: str | None = None
    limit: float
    needed: float | None = None
    clashes: bool = False

    @property
    def title(self) -> str:
        """Such as 'memory' or 'latency of faces'."""
        return self.kind if self.model is None else f"{self.kind} of {self.model}"

    def show(self, value: float) -> str:
        """A value of this limit with its unit."""
        if self.kind == "memory":
            return f"{size(value)} ({value:.0f} B)" if value >= 1000 else size(value)
        return {"cores": f"{value:.6g} cores", "latency": f"{value:.9g} ms", "accuracy": f"{value:.6g}"}[self.kind]

    @property
    def remedy(self) -> str:
        """`needed` with its unit, rounded to the side on which it will do as it stands; empty where nothing will."""
        if self.needed is None:
            return ""
        if self.kind == "memory":
            unit, scale = next((u for u in (("GB", 9), ("MB", 6), ("kB", 3)) if self.needed >= 10 ** u[1]), ("B", 0))
            return f"{_rounded(Decimal(self.needed).scaleb(-scale), 5, ROUND_CEILING)} {unit}"
        if self.kind == "accuracy":
            return _rounded(Decimal(self.needed), 6, ROUND_FLOOR)
        return f"{_rounded(Decimal(self.needed), 6, ROUND_CEILING)} {'ms' if self.kind == 'latency' else 'cores'}"


class Infeasible(Schema):
    """Why there is no plan.

    Attributes:
        limits: every limit that was set, each with the least relaxation of it alone that would do.
        nearest: the best plan under the limits that are all relaxed by the same fraction, the least that lets a plan
            exist: its greatest relative excess over any limit is as small as it can be. It does not hold the
            limits, and is never run unless the application asks for it.
        excess: that fraction; 0.1 means limits 10 % wider.
        suspended: best-effort models, all of which were suspended without avail.
    """

    schema_: Literal["legodnn.infeasible/1"] = Field(default="legodnn.infeasible/1", alias="schema")
    budget: Budget
    limits: tuple[Limit, ...] = Field(min_length=1)
    nearest: Plan | None = None
    excess: float | None = None
    suspended: tuple[str, ...] = ()

    @property
    def clash(self) -> tuple[Limit, ...]:
        """Limits that cannot hold together; without any one of them, the rest of them can."""
        return tuple(limit for limit in self.limits if limit.clashes)

    def __str__(self) -> str:
        limits = " and ".join(f"{c.title} {_sense(c)} {c.show(c.limit)}" for c in self.clash)
        remedies = [f"{c.title} {c.remedy}" for c in self.limits if c.needed is not None]
        even = f" even with {', '.join(self.suspended)} suspended" if self.suspended else ""
        remedy = (
            f"any one of these would do: {'; '.join(remedies)}"
            if remedies
            else "no single limit can be relaxed to make it fit"
        )
        return f"no plan holds {limits}{even}\n{remedy}"


def _sense(limit: Limit) -> str:
    return "at least" if limit.kind == "accuracy" else "at most"


def _rounded(value: Decimal, digits: int, rounding: str) -> str:
    """A number in so many significant digits, without zeros at its end."""
    if not value:
        return "0"
    places = value.adjusted() - digits + 1
    text = f"{value.quantize(Decimal(1).scaleb(places), rounding=rounding):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
