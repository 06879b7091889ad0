"""`legodnn run`: run the models of a workload on inputs, under one budget or a trace of budgets."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legodnn.commands.budget import add_budget_flags, budget_flags, budget_from
from legodnn.commands.own_arrays import names_function, own_arrays
from legodnn.commands.plotting import check_matplotlib
from legodnn.commands.workload import add_workload, workload_from
from legodnn.console import progress, say, text_table
from legodnn.errors import InputError, WorkloadError
from legodnn.files import check_folder, check_writable, with_home
from legodnn.manifest import Manifest
from legodnn.printable import option_label
from legodnn.profile import Profile
from legodnn.progress import no_progress
from legodnn.store import Store
from legodnn.tail import percentile
from legodnn.units import size
from legodnn.workload import Budget, Workload, read_trace

if TYPE_CHECKING:
    from legodnn.runtime.feeds.inputs import Inputs
    from legodnn.runtime.feeds.predictions import Predictions
    from legodnn.runtime.feeds.replay import Step

_FRAMES = 100
# Why a budget does not hold, by `Step.outcome`.
_SHORT = {
    "refused": "no plan holds the budget, so the one before ran on",
    "nearest": "no plan holds the budget at the present speed, so the nearest one ran",
    "kept": "a block could not be loaded, so the plan before ran on",
}
log = logging.getLogger("legodnn.commands")


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "run",
        help=summary,
        description="Run the models of a workload on inputs. With --trace the budgets of a JSON file are replayed: for "
        "each one the runtime makes a plan, switches the blocks that change, and runs all inputs.",
        epilog="examples:\n"
        "  legodnn run demo/stores/vgg16 demo/stores/resnet18 --input demo/digits.npz --memory 10MB\n"
        "  legodnn run demo/stores/vgg16 demo/stores/resnet18 --input demo/digits.npz --trace demo/trace.json\n"
        "  legodnn run stores/mymodel --input photos --save classes.csv --draw found",
    )
    add_workload(parser)
    parser.add_list(
        "--input",
        str,
        required=True,
        metavar="[NAME=]PATH",
        help="an image, a folder of images, .npy of images, .npz with x and maybe labels y (for a model of several "
        "inputs, with an array of each input's name), module:function that returns a dict of such arrays, a video file "
        "(.avi, .m4v, .mkv, .mov, .mp4, .webm), or camera (camera:1 for the second; both need OpenCV); for all models "
        "or for the one named",
    )
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help=f"number of frames of a camera or video to run under each budget (default: {_FRAMES})",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="run arrays and images again and again for this long under each budget (default: once)",
    )
    add_budget_flags(parser)
    parser.add_argument(
        "--trace",
        metavar="FILE",
        help="JSON list of budgets, instead of --memory, --latency, --quantile and --cores: "
        '[{"memory_bytes": 10000000, "latency_ms": 1.5}, ...]',
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="keep what the models gave: an .npz of all outputs, as MODEL/OUTPUT, or a .csv of each input's class; "
        "of a trace, for each budget",
    )
    parser.add_argument(
        "--draw",
        type=Path,
        metavar="FOLDER",
        help="write a picture of each input there, with what was found: boxes, areas, key points, classes, scores "
        "(needs Pillow)",
    )
    parser.add_argument("--report", metavar="FOLDER", help="write report.html and plot.svg there (needs matplotlib)")
    parser.add_argument(
        "--governed",
        action="store_true",
        help="make plans for what the device can spare and for how fast it is meanwhile, as `serve` does; --debug "
        "shows each decision",
    )
    parser.add_argument("--isolated", action="store_true", help="run each model in a process of its own")
    parser.add_argument("--live", action="store_true", help="show a table while it runs (needs rich)")
    parser.add_argument("--json", action="store_true", help="print every step as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the inputs under each budget, and print a table."""
    from legodnn.runtime.feeds.camera import is_live
    from legodnn.runtime.feeds.drawings import Drawings
    from legodnn.runtime.feeds.live import LiveTable
    from legodnn.runtime.feeds.predictions import Predictions
    from legodnn.runtime.feeds.replay import replay
    from legodnn.runtime.governing.governor import Governor
    from legodnn.runtime.governing.telemetry import LOGGER
    from legodnn.runtime.runtime import Runtime

    if args.frames is not None and args.frames < 1:
        raise InputError("--frames must be at least 1")
    if args.trace and (flags := budget_flags(args)):
        raise WorkloadError(
            f"--trace and {flags[0]} do not go together: the trace's file says every budget; write the limit there"
        )
    workload = workload_from(args)
    budgets = _budgets(args, workload)
    sources = _sources(args.input, workload)
    if args.frames is not None and not any(map(is_live, sources.values())):
        raise InputError("--frames is for cameras and videos, and --input names neither; leave it out")
    if args.seconds is not None:
        if not 0 < args.seconds < float("inf"):
            raise InputError(f"--seconds must be a positive number, not {args.seconds:g}")
        if any(map(is_live, sources.values())):
            raise InputError("--seconds is for inputs that can be run again; of a camera or a video, give --frames")
    _check_places(args)
    # What the report shows is read before anything runs, so that no run is lost to a store that was replaced meanwhile.
    stores = {model.name: Store(model.store) for model in workload.models}
    profiles = [Profile.load(model.profile_path) for model in workload.models] if args.report else []
    with ExitStack() as opened:
        # Inputs are read before the runtime opens, so that they do not count as memory of the models.
        inputs = _open_inputs(sources, stores, args.frames or _FRAMES, opened)
        manifests = {name: store.manifest for name, store in stores.items()}
        predictions = Predictions(args.save, manifests, inputs, len(budgets) > 1) if args.save else None
        drawings = Drawings(args.draw, stores, inputs, len(budgets) > 1) if args.draw else None
        live = opened.enter_context(LiveTable()) if args.live else None
        runtime = opened.enter_context(Runtime(workload, budgets[0], isolated=args.isolated))
        governor = Governor(runtime) if args.governed else None
        if governor and not log.isEnabledFor(logging.DEBUG):
            opened.callback(LOGGER.setLevel, LOGGER.level)
            LOGGER.setLevel(logging.CRITICAL)  # every decision would be a line between those of the progress
        keepers = [each.keep for each in (predictions, drawings) if each]

        def keep(*what: Any) -> None:
            for each in keepers:
                each(*what)

        shown = no_progress if live else progress()
        kept = keep if keepers else None
        steps = replay(runtime, inputs, budgets, live, shown, kept, args.seconds or 0.0, governor)
    if drawings:
        log.info("pictures: %s", args.draw)
    with ExitStack() as last:  # backwards, and each of them also where one before fails, of a full disk say
        last.callback(_print, steps, args.json)
        if args.report:
            last.callback(_report, Path(args.report), stores, profiles, steps)
        if predictions:
            last.callback(_write, predictions, args.save)
    return 0


def _check_places(args: argparse.Namespace) -> None:
    """Check, before anything runs, that what is asked for can be written."""
    if args.save:
        check_writable(args.save, "--save")
    if args.draw:
        check_folder(args.draw, "--draw")
    if args.report:
        check_matplotlib("the report")
        for name in ("report.html", "plot.svg"):
            check_writable(Path(args.report) / name, "--report")


def _write(predictions: Predictions, path: Path) -> None:
    predictions.write()
    log.info("predictions: %s", path)


def _report(path: Path, stores: dict[str, Store], profiles: Sequence[Profile], steps: Sequence[Step]) -> None:
    from legodnn.runtime.feeds.report import write_report

    log.info("report: %s (opens offline)", write_report(path, stores, profiles, steps))


def _print(steps: Sequence[Step], as_json: bool) -> None:
    if as_json:
        print(steps_json(steps))
    else:
        say(steps_table(steps))


def _budgets(args: argparse.Namespace, workload: Workload) -> list[Budget]:
    """Return the budgets of the trace, or the one that the command line gives, each checked against the workload."""
    budgets = read_trace(Path(args.trace)) if args.trace else [budget_from(args, workload)]
    for budget in budgets:
        Workload(models=workload.models, budget=budget)  # refuses a limit for a model that is none of these
    return budgets


def _open_inputs(
    sources: dict[str, str], stores: dict[str, Store], frames: int, opened: ExitStack
) -> dict[str, Inputs]:
    """Read the inputs of each model by name; cameras stay open until `opened` closes."""
    from legodnn.runtime.feeds.camera import Camera, is_live
    from legodnn.runtime.feeds.inputs import inputs_of_arrays, read_inputs

    live = [source for source in dict.fromkeys(sources.values()) if is_live(source)]
    cameras = {source: opened.enter_context(closing(Camera(source))) for source in live}
    own = {source: own_arrays(source) for source in dict.fromkeys(sources.values()) if names_function(source)}

    def opened_inputs(source: str, manifest: Manifest) -> Inputs:
        if source in cameras:
            return cameras[source].inputs(manifest.inputs[0], frames)
        if source in own:
            return inputs_of_arrays(own[source], source, manifest.inputs)
        return read_inputs(source, manifest.inputs, manifest.model.labels, progress())

    def inputs_of(name: str, store: Store) -> Inputs:
        try:
            return opened_inputs(sources[name], store.manifest)
        except InputError as e:
            if len(stores) == 1:
                raise
            raise InputError(f"{name}: {e}; --input {name}=FILE gives this model inputs of its own") from None

    return {name: inputs_of(name, store) for name, store in stores.items()}


def _sources(arguments: list[str], workload: Workload) -> dict[str, str]:
    """Return the file, folder or camera that each model, by name, takes its inputs from."""
    names = [m.name for m in workload.models]
    sources: dict[str, str] = {}
    for argument in arguments:
        name, _, path = argument.partition("=")
        if name not in names and ("/" in name or Path(argument).exists()):
            path = ""  # a place whose name has a =
        if path and name not in names:
            raise InputError(f"--input {argument}: no model {name!r} in this workload; it has {', '.join(names)}")
        for model in [name] if path else names:
            if model in sources:
                raise InputError(f"--input gives {model} both {sources[model]} and {path or argument}; give one")
            sources[model] = with_home(path or argument)
    if missing := [n for n in names if n not in sources]:
        raise InputError(f"no input for {missing[0]}; give --input {missing[0]}=FILE")
    return sources


def steps_json(steps: Sequence[Step]) -> str:
    """Return the steps as one line of JSON."""
    return json.dumps([step.model_dump(mode="json", by_alias=True) for step in steps])


def steps_table(steps: Sequence[Step]) -> str:
    """Return a table with a row for each budget and model: what was asked, chosen, predicted and measured."""
    rows = [row for number, step in enumerate(steps, start=1) for row in _step_rows(number, step)]
    header = ["#", "memory", "cores", "ms limit", "model", "sparsity by block", "accuracy", "latency ms", "tail ms"]
    header += ["above", "memory used", "switched", "plan + switch ms"]
    return text_table(rows, header) + (
        "\n\naccuracy, latency (median), tail and memory: predicted / measured; above: share of inferences above limit"
        + "".join(f"; {word}: {why}" for word, why in _SHORT.items() if word in {step.outcome for step in steps})
        + ("; switched: blocks, + plans made meanwhile" if any(step.replanned for step in steps) else "")
    )


def _step_rows(number: int, step: Step) -> Iterator[Sequence[object]]:
    """Yield a row for each model; what the whole step has in common stands in the first."""
    budget = step.budget
    limit = size(budget.memory_bytes) if budget.memory_bytes else "any"
    cores = "any" if budget.cores is None else f"{budget.cores:g}"
    memory = f"{size(step.plan.memory_bytes)} / {size(step.memory_bytes)}"
    common = [
        f"{number} {step.outcome}".strip(),
        limit,
        cores,
        memory,
        step.switched,
        f"{step.plan_ms:.2f} + {step.switch_ms:.2f}",
    ]
    for model in step.plan.models:
        measured = step.models.get(model.name)
        limit_ms = step.latency_limits_ms.get(model.name)
        above = "" if measured is None or measured.above_limit is None else f"{measured.above_limit:.1%}"
        yield [
            *common[:3],
            "any" if limit_ms is None else f"{percentile(model.quantile)} {limit_ms:.3f}",
            model.title,
            "suspended" if model.suspended else " ".join(map(option_label, model.options.values())),
            _pair(model.accuracy, measured.accuracy if measured else None),
            _pair(model.latency_ms, measured.median_ms if measured else None),
            _pair(model.quantile_ms, measured.quantile_ms if measured else None),
            above,
            *common[3:],
        ]
        common = [""] * len(common)


def _pair(predicted: float | None, measured: float | None) -> str:
    return " / ".join("-" if value is None else f"{value:.3f}" for value in (predicted, measured))
