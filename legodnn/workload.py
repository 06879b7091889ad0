"""What the scheduler is asked: the models that run together, and the limits that they share.

A budget changes from second to second. A workload is what an application declares once: its stores, what each model is
worth, and how often it is called. It is written as TOML:

    [budget]
    memory = "20MB"             # for all models together; or memory_bytes = 20000000
    cores = 2.0

    [[models]]
    name = "faces"
    store = "stores/faces"      # relative to this file, or to the home: "~/stores/faces"
    profile = "faces.json"      # likewise; left out where it is beside the store: stores/faces.profile.json
    weight = 2.0
    rate_hz = 15
    latency_ms = 8.0
    quantile = 0.99             # of its inferences keep that; 0.95 unless it is said
    min_accuracy = 0.8

    [[models]]
    name = "scenes"
    store = "stores/scenes"
    rate_hz = 1
    critical = false            # may be suspended when not everything fits
    streaming = true            # may run with the weights of one segment in memory at a time

    [switch_charge]
    per_mb = 0.0001

`legodnn bundle` writes the same as JSON beside copies of the stores and profiles, for apps on Android
(`legodnn.bundle`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    Field,
    PlainValidator,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from typing_extensions import Self

from legodnn.by_model import checked_limit, checked_quantile, for_all_or_by_name
from legodnn.errors import WorkloadError
from legodnn.files import is_file, real_name, with_home
from legodnn.printable import shown
from legodnn.profile import default_path
from legodnn.schema import (
    LEAST_WEIGHT,
    MOST_CHARGE,
    MOST_MEMORY,
    MOST_MODELS,
    MOST_NAME,
    MOST_PATH,
    MOST_RATE,
    MOST_SUM,
    MOST_WEIGHT,
    Many,
    MetricValue,
    Name,
    Quantile,
    Schema,
    Threads,
    check_version,
    explain,
    read_json,
    without_defaults,
)
from legodnn.toml import read_toml
from legodnn.units import parse_memory

WORKLOAD_VERSION = "legodnn.workload/1"  # of the JSON form
BUNDLE_REMEDY = "write it again with `legodnn bundle`"

Charge = Annotated[float, Field(ge=0, le=MOST_CHARGE)]
StorePlace = Annotated[str, Field(min_length=1, max_length=MOST_PATH)]


class _Request(Schema):
    """A document that applications also construct themselves: wrong values raise a WorkloadError of one line."""

    if not TYPE_CHECKING:

        def __init__(self, /, **data: Any) -> None:
            listed = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
            try:  # JSON has lists where there are tuples
                super().__init__(**listed)
            except ValidationError as e:
                raise WorkloadError(f"{type(self).__name__}: {explain(e, type(self).model_fields)}") from None


class Budget(_Request):
    """The limits of the moment. None means no limit.

    Attributes:
        memory_bytes: the most memory that all models together may hold.
        latency_ms: the longest time that an inference may take: one number for every model, or numbers for some models
            by name. Where a model has a limit of its own (`WorkloadModel.latency_ms`), the tighter one holds.
        quantile: the share of inferences that must keep their limit of latency, from 0.5 (the median) to below 1: one
            number for every model, or numbers for some models by name. Where a model has one of its own
            (`WorkloadModel.quantile`), the greater one holds; where neither says it, `DEFAULT_QUANTILE`, 0.95.
        cores: the most CPU cores that all models together may keep busy: the sum of rate x threads x latency.

    Raises:
        WorkloadError: a limit makes no sense.

    Example:
        >>> Budget(memory_bytes=20_000_000, latency_ms={"faces": 8})
        Budget(memory_bytes=20000000, latency_ms={'faces': 8.0}, quantile=None, cores=None)
    """

    memory_bytes: int | None = Field(default=None, gt=0, le=MOST_MEMORY)
    latency_ms: Annotated[float | dict[str, float] | None, PlainValidator(for_all_or_by_name(checked_limit))] = None
    quantile: Annotated[float | dict[str, float] | None, PlainValidator(for_all_or_by_name(checked_quantile))] = None
    cores: float | None = Field(default=None, gt=0, le=MOST_SUM)


def checked_budget(budget: object) -> Budget:
    """Return what was given as a budget if it is one; WorkloadError otherwise."""
    if not isinstance(budget, Budget):
        raise WorkloadError(f"a budget is a legodnn.Budget, not {type(budget).__name__}; Budget() sets no limits")
    return budget


class SwitchCharge(_Request):
    """What it costs to load blocks when the running plan changes, in units of the objective (weight x accuracy).

    Attributes:
        per_mb: the cost of each 10^6 bytes of the options' files that must be loaded.
        per_ms: the cost of each millisecond of loading, as the profile measured it.
    """

    per_mb: Charge = 0.0
    per_ms: Charge = 0.0


class WorkloadModel(_Request):
    """One model of a workload.

    Attributes:
        name: what the application calls the model; unique in the workload.
        store: the folder of the store.
        profile: the file of the profile; None for the one beside the store.
        weight: what one unit of the model's accuracy is worth.
        rate_hz: inferences per second; needed where the budget limits cores. A limit of latency is then for inferences
            that follow on pauses, which take longer than those of a model that runs again and again.
        latency_ms: the longest time that an inference may take; None for no limit.
        quantile: the share of its inferences that must keep a limit of latency, this one or the budget's; None leaves
            it to the budget.
        min_accuracy: the least predicted accuracy; None for no limit.
        critical: False if the model may be suspended when not everything fits.
        threads: the number of threads; None lets the scheduler choose among those that were profiled.
        streaming: whether the model may be streamed: run segment by segment, with the weights of one segment in memory
            at a time. That takes less memory and more time, which `legodnn profile --streaming` measures.
    """

    name: Name
    store: StorePlace
    profile: StorePlace | None = None
    weight: float = Field(default=1.0, ge=LEAST_WEIGHT, le=MOST_WEIGHT)
    rate_hz: float | None = Field(default=None, ge=0, le=MOST_RATE)
    latency_ms: float | None = Field(default=None, gt=0, le=MOST_SUM)
    quantile: Quantile | None = None
    min_accuracy: MetricValue | None = None
    critical: bool = True
    threads: Threads | None = None
    streaming: bool = False

    @model_serializer(mode="wrap")
    def _briefly(self, serialised: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(serialised(self), streaming=False)

    @property
    def profile_path(self) -> Path:
        """The file of the profile."""
        return default_path(self.store) if self.profile is None else Path(self.profile)


class Workload(_Request):
    """The models that run together, the budget that they start with, and what switching costs."""

    models: Many[WorkloadModel] = Field(min_length=1, max_length=MOST_MODELS)
    budget: Budget = Budget()
    switch_charge: SwitchCharge = SwitchCharge()

    @model_validator(mode="after")
    def _names_make_sense(self) -> Self:
        counts = Counter(m.name for m in self.models)
        if twice := sorted(name for name, count in counts.items() if count > 1):
            raise ValueError(f"two models are called {twice[0]!r}; give each a name of its own")
        budget = self.budget
        for named, what in ((budget.latency_ms, "limits the latency of"), (budget.quantile, "has a quantile for")):
            if isinstance(named, dict) and (unknown := sorted(set(named) - set(counts))):
                raise ValueError(f"the budget {what} {unknown[0]!r}, which is none of {', '.join(counts)}")
        return self


def read_trace(path: str | Path) -> list[Budget]:
    """Read a trace: a JSON list of budgets, which may give `memory` instead of memory_bytes, as workload files do.

    Raises:
        WorkloadError: the file is unreadable, or holds no list of budgets.
    """
    remedy = 'write a list of at least one budget, such as [{"memory_bytes": 3000000}]'
    entries = read_json(Path(path), WorkloadError, remedy, by_hand=True)
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise WorkloadError(f"{path} is not a JSON list of budgets; {remedy}")
    budgets = []
    for number, entry in enumerate(entries, start=1):
        try:
            budgets.append(Budget(**_with_memory(entry)))
        except WorkloadError as e:
            raise WorkloadError(f"{path}, budget {number}: {e}; {remedy}") from None
    return budgets


def load_workload(paths: str | Path | Sequence[str | Path]) -> Workload:
    """Read a workload from one `.toml` file, or the `.json` of a bundle, or make one of folders of stores.

    One of folders has weight 1 for each model, and no limits.

    Raises:
        WorkloadError: the file is unreadable, neither TOML nor JSON, or holds no workload.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    if not isinstance(paths, list | tuple) or not all(isinstance(p, str | Path) for p in paths):
        raise WorkloadError(
            f"a workload is opened by a path or a list of them, such as 'stores/faces', not {shown(paths)}"
        )
    if not paths:
        raise WorkloadError("no workload: give one .toml file, or the folders of one or more stores")
    files = [Path(p) for p in paths]
    if workloads := [f for f in files if f.suffix in (".toml", ".json")]:
        if len(files) > 1:
            other = next(f for f in files if f is not workloads[0])
            raise WorkloadError(
                f"{workloads[0]} is a workload file, which is given alone, not with {other}; "
                "its stores are named in it, as [[models]]"
            )
        return _read_file(files[0])
    if bundle := next((f for f in files if is_file(f / "workload.json")), None):
        raise WorkloadError(f"{bundle} is the folder of a bundle; give the file in it, {bundle / 'workload.json'}")
    return Workload(
        models=tuple(WorkloadModel(name=n, store=str(f)) for n, f in zip(_names(files), files, strict=True))
    )


def _names(stores: Sequence[Path]) -> list[str]:
    """Return the names of the folders, with a number where a name comes again: a, b, a-2."""
    names: list[str] = []
    for store in stores:
        base, number = (real_name(store) or "model")[: MOST_NAME - 10], 1
        while (name := f"{base}-{number}" if number > 1 else base) in names:
            number += 1
        names.append(name)
    return names


def _read_file(path: Path) -> Workload:
    """Read a workload from a TOML file, or from the JSON of a bundle, which says memory in bytes alone."""
    wanted, bundled = "it needs one [[models]] table for each model", path.suffix == ".json"
    if bundled:
        document = read_json(path, WorkloadError, BUNDLE_REMEDY)
        check_version(document, str(path), WORKLOAD_VERSION, WorkloadError, BUNDLE_REMEDY)
        del document["schema"]
    else:
        document = read_toml(path, WorkloadError, f"{wanted}, with a name and a store")
    try:
        entries = document.pop("models", None)
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise WorkloadError(wanted)
        written = str if bundled else with_home
        models = tuple(WorkloadModel(**_located(entry, path.parent, written)) for entry in entries)
        limits = _table(document, "budget")
        budget = Budget(**(limits if bundled else _with_memory(limits)))
        charge = SwitchCharge(**_table(document, "switch_charge"))
        return Workload(models=models, budget=budget, switch_charge=charge, **document)
    except WorkloadError as e:
        raise WorkloadError(f"{path}: {e}") from None


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    table = document.pop(key, {})
    if not isinstance(table, dict):
        raise WorkloadError(f"{key} must be a table: [{key}]")
    return table


def _located(entry: dict[str, Any], folder: Path, written: Callable[[str], str]) -> dict[str, Any]:
    """Return a model's entry with its relative paths joined to the folder of the workload's file."""
    named = {key: entry[key] for key in ("store", "profile") if isinstance(entry.get(key), str) and entry[key]}
    return {**entry, **{key: str(folder / written(path)) for key, path in named.items()}}


def _with_memory(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a budget's entry with `memory = "20MB"` turned into memory_bytes."""
    if "memory" not in entry:
        return entry
    if "memory_bytes" in entry:
        raise WorkloadError("the budget has both memory and memory_bytes; give one of them")
    rest = {key: value for key, value in entry.items() if key != "memory"}
    try:
        return {**rest, "memory_bytes": parse_memory(str(entry["memory"]))}
    except ValueError as e:
        raise WorkloadError(f"memory: {e}") from None
