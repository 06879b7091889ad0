"""What a store's options and a plan of it cost on this device, whole: for `legodnn inspect STORE --costs`."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass

from legodnn.commands.budget import budget_from
from legodnn.console import text_table
from legodnn.errors import StoreError
from legodnn.manifest import Option
from legodnn.plan import ModelPlan
from legodnn.profile import OptionProfile, Profile, default_path
from legodnn.profiler.roofline import Roof, measure_roof
from legodnn.runtime.device.fingerprint import fingerprint
from legodnn.runtime.executors.select import executor_name
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.runtime.tflite.cost import bytes_moved
from legodnn.runtime.tflite.model_file import Refused, parse_model_file
from legodnn.store import Store
from legodnn.units import size
from legodnn.workload import load_workload


@dataclass(frozen=True)
class OptionCosts:
    """What one inference of an option costs, or of a whole plan.

    Attributes:
        segment, option: which it is; "" for the plan.
        loss: what the option adds to the summed loss; of the plan, what all of them add interactions left out.
        latency_ms: the median of the profile; None for an option that was not measured.
        moved_bytes: what its operators read and write, weights included.
        macs: multiply-accumulates.
        least_ms: what so many multiply-accumulates and bytes take at least by the roof.
        energy_mj: millijoules; None where they were not measured, or only estimated.
    """

    segment: str
    option: str
    loss: float
    latency_ms: float | None
    moved_bytes: int
    macs: int
    least_ms: float
    energy_mj: float | None

    @property
    def macs_per_s(self) -> float | None:
        """Multiply-accumulates in a second."""
        return self.macs / self.latency_ms * 1e3 if self.latency_ms else None

    @property
    def of_roof(self) -> float | None:
        """The share of its latency that it takes at least by the roof: 1 is as fast as the device can be."""
        return self.least_ms / self.latency_ms if self.latency_ms else None


@dataclass(frozen=True)
class StoreCosts:
    """The costs of every option of a store on this device, and of the plan that a budget allows."""

    store: str
    roof: Roof
    options: tuple[OptionCosts, ...]
    plan: ModelPlan
    whole: OptionCosts


def store_costs(store: Store, args: argparse.Namespace) -> StoreCosts:
    """Measure the roof of this device, and return what the options and a plan of a store cost.

    Args:
        store: the store. Its profile lies beside it.
        args: the limits that the plan has to hold, as `add_budget_flags` declares them.

    Raises:
        ProfileError: there is no profile, or it is of another store or device.
        StoreError: a file is damaged.
        InfeasibleError: no plan holds the limits.
    """
    profile = Profile.load(default_path(store.path))
    profile.check_store(store)
    profile.check_device(fingerprint(executor_name()))
    workload = load_workload(store.path)  # so that limits and names mean what they do to `legodnn plan STORE`
    scheduler = Scheduler(workload_tables(workload, [(store, profile)]))
    plan = scheduler.plan(budget_from(args, workload))[workload.models[0].name]
    roof = measure_roof(plan.threads)
    measured = {(o.segment, o.option): o for o in profile.options}
    is_measured = profile.energy is not None and not profile.energy.estimate
    found = {
        (segment.name, option.name): _option_costs(
            store, segment.name, option, measured.get((segment.name, option.name)), roof, plan.threads, is_measured
        )
        for segment in store.manifest.segments
        for option in segment.options
    }
    parts = [found[s.name, plan.options.get(s.name, s.original.name)] for s in store.manifest.segments]
    energies = [part.energy_mj for part in parts if part.energy_mj is not None]
    whole = OptionCosts(
        segment="",
        option="",
        loss=sum(part.loss for part in parts),
        latency_ms=plan.latency_ms,
        moved_bytes=sum(part.moved_bytes for part in parts),
        macs=sum(part.macs for part in parts),
        least_ms=sum(part.least_ms for part in parts),
        energy_mj=sum(energies) if len(energies) == len(parts) else None,
    )
    return StoreCosts(store.name, roof, tuple(found.values()), plan, whole)


def _option_costs(
    store: Store, segment: str, option: Option, measured: OptionProfile | None, roof: Roof, threads: int, energy: bool
) -> OptionCosts:
    path = store.verified_file(option)
    try:
        moved = bytes_moved(parse_model_file(path.read_bytes()))
    except Refused as e:
        raise StoreError(f"{path} ({segment}/{option.name}) is refused: {e}; build the store again") from None
    times = {entry.threads: entry.median_ms for entry in measured.latency} if measured else {}
    return OptionCosts(
        segment=segment,
        option=option.name,
        loss=option.loss,
        latency_ms=times.get(threads),
        moved_bytes=moved,
        macs=option.macs,
        least_ms=roof.least_ms(option.macs, moved, option.precision),
        energy_mj=measured.energy_mj if measured and energy else None,
    )


def costs_document(costs: StoreCosts) -> dict[str, object]:
    """Return the costs as plain data. What was not measured is null."""
    plan = costs.plan
    whole = _entry(costs.whole) | {
        "options": plan.options,
        "threads": plan.threads,
        "accuracy": plan.accuracy,
        "accuracy_error": plan.accuracy_error,
        "inferences_per_s": 1e3 / plan.latency_ms if plan.latency_ms else None,
        "memory_bytes": plan.memory_bytes,
    }
    for name in ("segment", "option"):
        del whole[name]
    entries = [_entry(o) for o in costs.options]
    return {"store": costs.store, "roof": asdict(costs.roof), "options": entries, "plan": whole}


def _entry(costs: OptionCosts) -> dict[str, object]:
    return {**asdict(costs), "macs_per_s": costs.macs_per_s, "of_roof": costs.of_roof}


def costs_table(costs: StoreCosts) -> str:
    """Return a table of the options, one of the plan, and lines about the device's roof and energy."""
    energy = any(o.energy_mj is not None for o in costs.options)
    header = ["segment", "option", "loss", "latency", "moved", "MACs", "GMACs/s", "of roof", *(["energy"] * energy)]
    rows = [_row(o, energy) for o in costs.options]
    plan, whole, roof = costs.plan, costs.whole, costs.roof
    rate = f", {1e3 / plan.latency_ms:,.{1 if plan.latency_ms > 10 else 0}f} inferences/s" if plan.latency_ms else ""
    chosen = " ".join(f"{block}={option}" for block, option in plan.options.items())
    lines = [
        text_table(rows, header),
        "",
        f"plan: {chosen or 'whole'}",
        f"accuracy {plan.accuracy:.4f} ± {plan.accuracy_error:.4f}; {plan.latency_ms:.3g} ms{rate}; "
        f"{size(whole.moved_bytes)} moved, {whole.macs:,} MACs; {_share(whole.of_roof)} of the roof"
        + (f"; {whole.energy_mj:.3g} mJ" if whole.energy_mj is not None else ""),
        f"roof: {roof.float32_macs_per_s / 1e9:.3g} GMACs/s in float32, {roof.int8_macs_per_s / 1e9:.3g} in int8 "
        f"({roof.threads} thread{'s' * (roof.threads > 1)}), {size(roof.bytes_per_s)}/s copied; measured now",
    ]
    if not energy:
        lines.append("energy: not measured (`legodnn profile --energy METER`; estimates are not shown)")
    return "\n".join(lines)


def _row(o: OptionCosts, energy: bool) -> list[str]:
    speed = "-" if o.macs_per_s is None else f"{o.macs_per_s / 1e9:.3g}"
    latency = "-" if o.latency_ms is None else f"{o.latency_ms:.3g} ms"
    cells = [o.segment, o.option, f"{o.loss:.3g}", latency, size(o.moved_bytes), f"{o.macs:,}", speed]
    cells.append(_share(o.of_roof))
    return cells + (["-" if o.energy_mj is None else f"{o.energy_mj:.3g} mJ"] if energy else [])


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
