"""`legodnn run`: run a workload on inputs, under one budget or a trace of budgets."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legodnn.commands.budget import add_budget_flags, budget_flags, budget_from
from legodnn.console import ProgressLine, say, text_table
from legodnn.errors import DependencyError, InputError, WorkloadError
from legodnn.profile import Profile
from legodnn.progress import no_progress
from legodnn.store import Store
from legodnn.units import size
from legodnn.workload import Workload, load_workload, read_trace

if TYPE_CHECKING:
    from legodnn.runtime.feeds.replay import Step


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "run",
        help="run models on inputs while budgets change",
        description="Run the models of a workload on inputs. With --trace the budgets of a JSON file are replayed: at "
        "each the runtime re-plans, switches the blocks that change, and runs all inputs.",
        epilog="examples:\n"
        "  legodnn run demo/stores/vgg16 demo/stores/resnet18 --input demo/digits.npz --memory 10MB\n"
        "  legodnn run demo/stores/vgg16 demo/stores/resnet18 --input demo/digits.npz --trace demo/trace.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workload", nargs="+", metavar="WORKLOAD", help="one workload .toml, or folders of stores")
    parser.add_argument(
        "--input",
        action="append",
        required=True,
        metavar="[NAME=]PATH",
        help="folder of images, .npy of images, .npz with x and maybe labels y, a video file, or camera (camera:1 for "
        "the second; both need OpenCV); for all models or the one named",
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=100,
        metavar="N",
        help="frames of a camera or video under each budget (default: 100)",
    )
    add_budget_flags(parser)
    parser.add_argument(
        "--trace",
        metavar="FILE",
        help="JSON list of budgets, instead of --memory, --latency and --cores: "
        '[{"memory_bytes": 10000000, "latency_ms": 1.5}, ...]',
    )
    parser.add_argument("--report", metavar="FOLDER", help="write report.html and plot.svg there (needs matplotlib)")
    parser.add_argument("--isolated", action="store_true", help="run each model in a process of its own")
    parser.add_argument("--live", action="store_true", help="show a table while it runs (needs rich)")
    parser.add_argument("--json", action="store_true", help="print every step as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay and print a table."""
    from legodnn.runtime.feeds.camera import Camera, is_live
    from legodnn.runtime.feeds.inputs import read_inputs
    from legodnn.runtime.feeds.live import LiveTable
    from legodnn.runtime.feeds.replay import replay
    from legodnn.runtime.runtime import Runtime

    if args.frames < 1:
        raise InputError("--frames must be at least 1")
    if args.trace and (flags := budget_flags(args)):
        raise WorkloadError(
            f"--trace and {flags[0]} do not go together: the trace's file says every budget; write the limit there"
        )
    workload = load_workload(args.workload)
    budgets = read_trace(Path(args.trace)) if args.trace else [budget_from(args, workload.budget)]
    for budget in budgets:  # refuses, before anything runs, one that limits a model which is none of these
        Workload(models=workload.models, budget=budget)
    files = _files(args.input, workload)
    if args.report:
        check_report()
    # Inputs are read first, so that they do not count as memory of the models.
    stores = {model.name: Store(model.store).manifest for model in workload.models}
    with ExitStack() as opened:
        sources = [source for source in dict.fromkeys(files.values()) if is_live(source)]
        cameras = {source: opened.enter_context(closing(Camera(source))) for source in sources}
        inputs = {
            name: cameras[files[name]].inputs(m.inputs[0], args.frames)
            if files[name] in cameras
            else read_inputs(files[name], m.inputs[0], m.model.labels, ProgressLine)
            for name, m in stores.items()
        }
        live = opened.enter_context(LiveTable()) if args.live else None
        runtime = opened.enter_context(Runtime(workload, budgets[0], isolated=args.isolated))
        steps = replay(runtime, inputs, budgets, live, no_progress if live else ProgressLine)
    if args.report:
        trace_report(Path(args.report), workload, steps)
    if args.json:
        print(steps_json(steps))
    else:
        say(steps_table(steps))
    return 0


def check_report() -> None:
    """DependencyError unless a report can be written."""
    if importlib.util.find_spec("matplotlib") is None:
        raise DependencyError("the report needs matplotlib; pip install 'legodnn[plot]'")


def trace_report(folder: Path, workload: Workload, steps: Sequence[Step]) -> None:
    """Write the report of what ran."""
    from legodnn.runtime.feeds.report import write_report

    stores = {model.name: Store(model.store) for model in workload.models}
    profiles = [Profile.load(model.profile_path) for model in workload.models]
    say(f"report: {write_report(folder, stores, profiles, steps)} (opens offline)", file=sys.stderr)


def _files(arguments: list[str], workload: Workload) -> dict[str, str]:
    """The input file of each model."""
    names = [m.name for m in workload.models]
    files: dict[str, str] = {}
    for argument in arguments:
        name, _, path = argument.partition("=")
        if path and name not in names:
            raise InputError(f"--input {argument}: no model {name!r} in this workload; it has {', '.join(names)}")
        for model in [name] if path else names:
            files[model] = path or argument
    if missing := [n for n in names if n not in files]:
        raise InputError(f"no input for {missing[0]}; give --input {missing[0]}=FILE")
    return files


def steps_json(steps: Sequence[Step]) -> str:
    """The steps as one line of JSON."""
    return json.dumps([step.model_dump(mode="json", by_alias=True) for step in steps])


def steps_table(steps: Sequence[Step]) -> str:
    """One line for each budget and model: what was asked, chosen, predicted and measured."""
    rows = []
    for number, step in enumerate(steps, start=1):
        for i, model in enumerate(step.plan.models):
            measured = step.models.get(model.name)
            first = i == 0
            budget = step.budget
            limit = budget.latency_ms.get(model.name) if isinstance(budget.latency_ms, dict) else budget.latency_ms
            rows.append(
                (
                    number if first else "",
                    ("refused" if step.refused else size(budget.memory_bytes) if budget.memory_bytes else "any")
                    if first
                    else "",
                    f"{limit:.3f}" if limit else "any",
                    model.name,
                    "suspended" if model.suspended else " ".join(o.removeprefix("s") for o in model.options.values()),
                    _pair(model.accuracy, measured.accuracy if measured else None, "{:.3f}"),
                    _pair(model.latency_ms, measured.median_ms if measured else None, "{:.3f}"),
                    f"{size(step.plan.memory_bytes)} / {size(step.memory_bytes)}" if first else "",
                    f"{len(step.loaded)}" if first else "",
                    f"{step.plan_ms:.2f} + {step.switch_ms:.2f}" if first else "",
                )
            )
    header = ["#", "memory", "ms limit", "model", "sparsity by block", "accuracy", "latency ms", "memory used"]
    header += ["switched", "plan + switch ms"]
    return text_table(rows, header) + "\n\naccuracy, latency and memory: predicted / measured"


def _pair(predicted: float, measured: float | None, form: str) -> str:
    return f"{form.format(predicted)} / {form.format(measured) if measured is not None else '-'}"
