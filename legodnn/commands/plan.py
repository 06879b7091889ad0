"""`legodnn plan`: show what the scheduler would choose, and what wider limits would buy."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from legodnn.commands.budget import add_budget_flags, budget_from
from legodnn.commands.plotting import check_plot
from legodnn.commands.sweep import sweep
from legodnn.commands.workload import add_workload, workload_from
from legodnn.console import say, text_table
from legodnn.errors import InfeasibleError, WorkloadError
from legodnn.files import check_writable
from legodnn.plan import Gain, Gains, Infeasible, Plan
from legodnn.profile import Profile
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.savings import little_to_save
from legodnn.store import Store
from legodnn.tail import percentile
from legodnn.units import size

# People would rather wait for a plan that is proven to be the best than take the best of a tenth of a second.
_DEADLINE_MS = 10_000.0


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "plan",
        help=summary,
        description="Choose an option for every block of every model: the most accuracy that memory and latency allow.",
        epilog=(
            "examples:\n"
            "  legodnn plan stores/faces stores/scenes --memory 20MB --latency 5\n"
            "  legodnn plan workload.toml --memory 12MB --latency faces=8 --json\n"
            "  legodnn plan workload.toml --sweep --output accuracy.svg"
        ),
    )
    add_workload(parser)
    add_budget_flags(parser)
    parser.add_argument(
        "--sweep", action="store_true", help="draw the accuracy of the best plan against the memory budget"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file that --sweep draws into: .svg, .png or .pdf (default: plan.svg)",
    )
    parser.add_argument("--json", action="store_true", help="print the plan, or why there is none, as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan, and print the plan or why there is none (exit status 1)."""
    if args.output and not args.sweep:
        raise WorkloadError("--output is where --sweep draws; add --sweep, or write the plan with --json > FILE")
    output = args.output or Path("plan.svg")
    if args.sweep:
        check_plot(output, "--sweep")
        check_writable(output, "--output")
    workload = workload_from(args)
    budget = budget_from(args, workload)
    opened = [(Store(m.store), Profile.load(m.profile_path)) for m in workload.models]
    scheduler = Scheduler(workload_tables(workload, opened), workload.switch_charge)
    try:
        if args.sweep:
            sweep(scheduler, budget, output, args.json)
            return 0
        plan = scheduler.plan(budget, deadline_ms=_DEADLINE_MS)
    except InfeasibleError as e:
        _print_infeasible(e.report, args.json)
        return 1
    gains = scheduler.gains(plan)
    if args.json:
        document = {
            "plan": plan.model_dump(mode="json", by_alias=True),
            "slack": _slack(plan, scheduler),
            "gains": gains.model_dump(mode="json"),
        }
        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        say(_table(plan))
        say(_summary(plan, gains, scheduler))
        for store, profile in opened:
            if note := little_to_save(store, profile):
                say(note)
    return 0


def _table(plan: Plan) -> str:
    rows = []
    for m in plan.models:
        if m.suspended:
            rows.append([m.name, "suspended", "", "", "", "", "", "", ""])
            continue
        tail = "" if m.quantile_ms is None else f"{percentile(m.quantile)} {m.quantile_ms:.3g} ms"
        options = " ".join(f"{block}={option}" for block, option in m.options.items())
        rows.append(
            [
                m.title,
                f"{m.accuracy:.4f} ± {m.accuracy_error:.4f}",
                f"{m.latency_ms:.3g} ms",
                tail,
                "" if m.latency_limit_ms is None else f"{m.latency_limit_ms:.3g} ms",
                "" if m.slack_ms is None else f"{m.slack_ms:.3g} ms",
                str(m.threads),
                size(m.memory_bytes),
                options,
            ]
        )
    return text_table(rows, ["model", "accuracy", "latency", "tail", "limit", "slack", "threads", "memory", "options"])


def _summary(plan: Plan, gains: Gains, scheduler: Scheduler) -> str:
    budget = plan.budget
    lines = [f"objective  {plan.objective:.4f} (sum of weight x accuracy)"]
    if plan.gap > 0:
        lines.append(f"gap        {plan.gap:.2g}: the best plan may be worth so much more; proving it takes longer")
    spare = (
        ""
        if budget.memory_bytes is None
        else f" of {size(budget.memory_bytes)}, {size(budget.memory_bytes - plan.memory_bytes)} to spare"
    )
    lines.append(f"memory     {size(plan.memory_bytes)}{spare}")
    if budget.cores is not None:
        lines.append(
            f"cores      {plan.cores:.3g} of {budget.cores:g}, {max(0.0, budget.cores - plan.cores):.3g} to spare"
        )
    for name, spare_accuracy in _slack(plan, scheduler)["accuracy"].items():
        lines.append(f"accuracy of {name}: {spare_accuracy:.4f} above its least")
    if gains.memory is not None:
        lines.append(f"1 MB more would buy {_gain(gains.memory)}")
    if gains.cores is not None:
        lines.append(f"0.1 core more would buy {_gain(gains.cores)}")
    lines += [f"1 ms more for {name} would buy {_gain(gain)}" for name, gain in gains.latency.items()]
    if limited := [m for m in plan.models if m.latency_limit_ms is not None and not m.suspended]:
        shares = dict.fromkeys(f"{100 * m.quantile:.6g} %" for m in limited)
        lines.append(f"limits of latency are for {' and '.join(shares)} of inferences (--quantile)")
    return "\n".join(lines)


def _gain(gain: Gain) -> str:
    return f"{gain.objective:+.4f}" + (f" and resume {', '.join(gain.resumes)}" if gain.resumes else "")


def _print_infeasible(report: Infeasible, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.model_dump(mode="json", by_alias=True), indent=1))
        return
    say(report)
    if report.nearest is not None:
        wider = math.ceil((1 + (report.excess or 0)) * 1e4 * (1 + 1e-12)) / 1e4
        say(f"the nearest plan, with no limit more than {wider:.10g} times as wide:\n{_table(report.nearest)}")


def _slack(plan: Plan, scheduler: Scheduler) -> dict[str, Any]:
    """Return what is left of each limit that was set, as plain data."""
    budget = plan.budget
    slack: dict[str, Any] = {}
    if budget.memory_bytes is not None:
        slack["memory_bytes"] = budget.memory_bytes - plan.memory_bytes
    if budget.cores is not None:
        slack["cores"] = max(0.0, budget.cores - plan.cores)
    slack["latency_ms"] = {m.name: m.slack_ms for m in plan.models if m.slack_ms is not None}
    slack["accuracy"] = {
        m.name: max(0.0, m.accuracy - t.min_accuracy)
        for m, t in zip(plan.models, scheduler.tables, strict=True)
        if t.min_accuracy is not None and not m.suspended
    }
    return slack
