"""The answers of the scheduler: a plan, what more room would buy, or the report of why there is no plan.

They are plain data, which is written to JSON and read from it.
"""

from __future__ import annotations

import json
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
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
    Quantile,
    Schema,
    Sum,
    Threads,
    parse_document,
    read_json,
    to_json,
    without_defaults,
)
from legodnn.tail import DEFAULT_QUANTILE, percentile
from legodnn.units import size
from legodnn.workload import Budget

PLAN_VERSION = "legodnn.plan/1"
_REMEDY = "make it again with `legodnn plan --json`"


class ModelPlan(Schema):
    """What one model is to run, and what is predicted of it.

    Attributes:
        name: the model's name in the workload.
        suspended: whether there is no room for this model, which the workload does not call critical. It is not loaded
            then, has no options, and all its figures are 0.
        threads: the number of threads that every segment runs with.
        streamed: whether the weights of one segment at a time are in memory, see `legodnn.workload.WorkloadModel`.
        compact: whether the addresses that convolutions read are made anew in each inference, see
            `legodnn.profile.CompactModel`.
        options: the name of the option of each block by the block's name, in topological order.
        accuracy: the predicted metric.
        accuracy_error: nine in ten such predictions are within this error, by the store's cross-validation. Where the
            store measured no likely plans, it is the mean error of random compositions.
        latency_ms: the predicted latency of an inference, slow-down included: the median.
        latency_limit_ms: the limit that this model had to keep; None for none.
        quantile: the share of inferences that the limit is for.
        quantile_ms: what that share of inferences is predicted to take at most, which is within the limit; None where
            that is not known.
        memory_bytes: the predicted memory, fixed segments included.
        cores: rate x threads x latency; 0 where the workload gives no rate.
    """

    name: Name
    suspended: bool = False
    threads: Threads = 1
    streamed: bool = False
    compact: bool = False
    options: dict[Name, Name] = Field(default_factory=dict, max_length=MOST_SEGMENTS)
    accuracy: MetricValue = 0.0
    accuracy_error: float = Field(default=0.0, ge=0, le=MOST_METRIC)
    latency_ms: Sum = 0.0
    latency_limit_ms: Sum | None = None
    quantile: Quantile = DEFAULT_QUANTILE
    quantile_ms: Sum | None = None
    memory_bytes: Memory = 0
    cores: Sum = 0.0

    @model_serializer(mode="wrap")
    def _briefly(self, serialised: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(serialised(self), streamed=False, compact=False)

    @property
    def title(self) -> str:
        """The model's name, with `(streamed)` or `(compact)` behind it where that is so."""
        return self.name + " (streamed)" * self.streamed + " (compact)" * self.compact

    @property
    def slack_ms(self) -> float | None:
        """What is left of the latency limit, at its quantile; None where there is none, or the model is suspended."""
        if self.latency_limit_ms is None or self.quantile_ms is None:
            return None
        return self.latency_limit_ms - self.quantile_ms

    def __str__(self) -> str:
        if self.suspended:
            return f"{self.name}: suspended"
        threads = "" if self.threads == 1 else f", {self.threads} threads"
        options = " ".join(f"{block}={option}" for block, option in self.options.items())
        tail = "" if self.quantile_ms is None else f" ({percentile(self.quantile)} {self.quantile_ms:.3g} ms)"
        return (
            f"{self.title}: accuracy {self.accuracy:.4g} ± {self.accuracy_error:.2g}, {self.latency_ms:.3g} ms{tail}"
            f"{threads}, {size(self.memory_bytes)}: {options or 'no blocks'}"
        )


class Plan(Schema):
    """One option for every block of every model, and what they are predicted to give.

    Attributes:
        models: the plan of each model, in the workload's order.
        budget: the limits that the plan holds.
        objective: the sum over running models of weight x accuracy.
        switch_charge: what was charged for leaving the running plan, in the objective's units.
        gap: the most by which another plan that holds the budget could be worth more (objective less switch charge). It
            is 0 where this plan is proven to be the best, and above 0 where the deadline came before the proof.
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
        """Read a plan from a file, as `save` or `legodnn plan --json` writes it.

        Raises:
            WorkloadError: the file is unreadable, damaged or of another version.
        """
        document = read_json(Path(path), WorkloadError, _REMEDY)
        if isinstance(document, dict) and "plan" in document:  # the command's, beside what is left of its limits
            document = document["plan"]
        return parse_document(json.dumps(document), str(path), cls, PLAN_VERSION, WorkloadError, _REMEDY)

    def save(self, path: str | Path) -> None:
        """Write the plan to a file, atomically.

        Raises:
            WriteError: the file cannot be written.
        """
        write_atomic(Path(path), to_json(self))

    def __str__(self) -> str:
        return "\n".join(str(m) for m in self.models)


def checked_plan(plan: object) -> Plan:
    """Return what was given as a plan if it is one; WorkloadError otherwise."""
    if not isinstance(plan, Plan):
        raise WorkloadError(f"a plan is a legodnn.Plan, not {type(plan).__name__}")
    return plan


class Gain(Schema):
    """What a limit that is a little wider would buy.

    Attributes:
        objective: the difference of the objective; it can be negative where a suspended model resumes.
        resumes: the names of the models that would no longer be suspended.
    """

    objective: float
    resumes: tuple[str, ...] = ()


class Gains(Schema):
    """What wider limits would buy, each for itself; None, or no entry, for a limit that was not set.

    Attributes:
        memory: for one more megabyte.
        cores: for a tenth of a core more.
        latency: for one more millisecond for a model, by its name.
    """

    memory: Gain | None = None
    cores: Gain | None = None
    latency: dict[str, Gain] = Field(default_factory=dict)


class Limit(Schema):
    """One limit in a report.

    Attributes:
        kind: what is limited: memory (bytes), cores, latency (ms) or accuracy (the metric, from below).
        model: the model that a limit of latency or accuracy is for.
        quantile: the share of inferences that a limit of latency is for; None for other limits.
        limit: the value of the limit.
        needed: the value of this limit, closest to the present one, with which a plan exists while all other limits
            stay; None if there is no such value.
        clashes: whether it belongs to the set of limits that cannot hold together.
    """

    kind: Literal["memory", "cores", "latency", "accuracy"]
    model: str | None = None
    quantile: Quantile | None = None
    limit: float
    needed: float | None = None
    clashes: bool = False

    @property
    def title(self) -> str:
        """The limit's name for people, such as 'memory' or 'p95 latency of faces'."""
        kind = self.kind if self.quantile is None else f"{percentile(self.quantile)} {self.kind}"
        return kind if self.model is None else f"{kind} of {self.model}"

    def show(self, value: float) -> str:
        """Return a value of this limit with its unit."""
        if self.kind == "memory":
            return f"{size(value)} ({value:.0f} B)" if value >= 1000 else size(value)
        return {"cores": f"{value:.6g} cores", "latency": f"{value:.9g} ms", "accuracy": f"{value:.6g}"}[self.kind]

    @property
    def remedy(self) -> str:
        """`needed` with its unit, rounded towards the wider limit, so that a plan exists with it; empty for None."""
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
        budget: the limits that were asked for.
        limits: every limit that was set, but for latencies and accuracies of best-effort models; each with the least
            relaxation of it alone that lets a plan exist.
        nearest: the best plan when the limits that clash are relaxed by the same fraction, the least that lets a plan
            exist; where others clash without them, those by a fraction of their own. It keeps all limits that do not
            clash. It does not hold the budget, and is never run unless the application asks for it.
        excess: the greatest of these fractions; 0.1 means limits 10 % wider.
        suspended: the names of the models that are not critical; nothing fits even with all of them suspended.
    """

    schema_: Literal["legodnn.infeasible/1"] = Field(default="legodnn.infeasible/1", alias="schema")
    budget: Budget
    limits: tuple[Limit, ...] = Field(min_length=1)
    nearest: Plan | None = None
    excess: float | None = None
    suspended: tuple[str, ...] = ()

    @property
    def clash(self) -> tuple[Limit, ...]:
        """The limits that cannot hold together, though all of them but one can, whichever one is left out."""
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
    """Return a number with that many significant digits, without zeros at its end."""
    if not value:
        return "0"
    places = value.adjusted() - digits + 1
    text = f"{value.quantize(Decimal(1).scaleb(places), rounding=rounding):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
