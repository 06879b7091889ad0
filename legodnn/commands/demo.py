"""`legodnn demo`: the whole way on real data, from two untrained networks to a runtime that follows its budgets.

Two networks learn the handwritten digits that come with scikit-learn, are cut into blocks, distilled, exported and
profiled; then a process without TensorFlow runs both under a trace of budgets. What is there already is used again.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from legodnn import processes
from legodnn.commands.run import steps_json, steps_table
from legodnn.console import ProgressLine, say
from legodnn.errors import DependencyError, InfeasibleError, LegoError, ProfileError, StoreError
from legodnn.files import write_atomic
from legodnn.profile import Profile, default_path
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.store import Store
from legodnn.workload import Budget

if TYPE_CHECKING:
    from legodnn.recipe import Recipe
    from legodnn.runtime.feeds.replay import Step

# Shares of the way from the smallest composition (0) to the originals (1) that each budget of the trace allows;
# None is no limit.
_TRACE: tuple[tuple[float | None, float | None], ...] = (
    (None, None),
    (0.6, None),
    (0.3, None),
    (0.1, None),
    (0.3, 0.6),
    (None, 0.4),
    (None, 0.15),
    (0.3, 0.4),
    (0.6, 0.8),
    (None, None),
)  # fmt: skip


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "demo",
        help="the whole way on real data: build two stores, profile, and follow a trace of budgets",
        description="Train two networks on scikit-learn's handwritten digits, make a store of each, profile them on "
        "this machine, and replay budgets that fall and rise. Writes stores, profiles, a report (HTML) and the plot "
        "to a folder; a second run uses the stores again. Needs the `train` and `plot` extras.",
        epilog="example:\n  legodnn demo --out demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", default="demo", metavar="FOLDER", help="where everything is written (default: demo)")
    parser.add_argument(
        "--quick", action="store_true", help="few epochs and options: shows that it works, not how well"
    )
    parser.add_argument("--json", action="store_true", help="print the steps as JSON instead of the table")
    parser.set_defaults(run=run)


def recipes(quick: bool) -> list[Recipe]:
    """The two models of the demo."""
    from legodnn.recipe import Recipe

    effort: dict[str, Any] = {"train_epochs": 14, "distill_epochs": 8, "precisions": ("float32", "int8")}
    if quick:
        effort.update(train_epochs=2, distill_epochs=1, joint_epochs=1, sparsities=(0.5, 0.9), samples=12)
    return [
        Recipe(model="vgg16", name="vgg16", width=0.25, **effort),
        Recipe(model="resnet18", name="resnet18", width=0.125, **effort),
    ]


def run(args: argparse.Namespace) -> int:
    """Build or reuse, profile or reuse, replay, report."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise DependencyError("the demo's report needs matplotlib; pip install 'legodnn[train,plot]'") from None
    from legodnn.runtime.feeds.report import write_report

    out = Path(args.out)
    wanted = recipes(args.quick)
    stores = [_store(out / "stores" / recipe.name, recipe) for recipe in wanted]
    profiles = [_profile(store) for store in stores]
    _write_inputs(out / "digits.npz", wanted[0])
    write_atomic(out / "trace.json", json.dumps(trace(stores, profiles), indent=1) + "\n")
    steps = _replay(out, stores)
    report = write_report(out, {s.name: s for s in stores}, profiles, steps)
    if args.json:
        print(steps_json(steps))
    else:
        _print(stores, steps)
        say(f"\nreport: {report} (opens offline), plot: {out / 'plot.svg'}")
        names = " ".join(str(s.path) for s in stores)
        say(f"next:   legodnn inspect {stores[0].path}\n        legodnn plan {names} --memory 10MB")
    return 0


def _print(stores: Sequence[Store], steps: Sequence[Step]) -> None:
    for store in stores:
        accuracy = store.manifest.accuracy
        measured = steps[0].models[store.name].accuracy
        say(
            f"{store.name}: {len(store.manifest.blocks)} blocks; the original classifies {measured:.1%} of the "
            f"held-out test digits ({accuracy.original:.1%} of the validation digits)"
        )
    say(f"\n{steps_table(steps)}")


def _store(path: Path, recipe: Recipe) -> Store:
    """The store at `path`, built if it is not there; StoreError if it is damaged or of another recipe."""
    from legodnn.blocks import build

    if not path.exists():
        return build(recipe, path, progress=ProgressLine)
    store = Store(path)
    if store.manifest.built.recipe != recipe.model_dump(mode="json"):
        raise StoreError(f"{path} was built by another recipe; remove it or choose another folder with --out")
    say(f"using the store {path}", file=sys.stderr)
    return store


def _profile(store: Store) -> Profile:
    """The store's profile if it was measured here; otherwise a new one."""
    from legodnn.runtime.device.fingerprint import fingerprint
    from legodnn.runtime.executors.select import executor_name

    path = default_path(store.path)
    if path.exists():
        try:
            profile = Profile.load(path)
            profile.check_store(store)
            profile.check_device(fingerprint(executor_name()))
            return profile
        except ProfileError as e:
            say(f"profiling again: {e}", file=sys.stderr)
    _legodnn("profile", str(store.path), "--seconds", "20")
    return Profile.load(path)


def _write_inputs(path: Path, recipe: Recipe) -> None:
    """The test digits, which nothing was trained or fitted on, for the process that runs the models."""
    import numpy as np

    from legodnn.blocks.importing.data_sources import data_of

    test = data_of(recipe).test
    assert test.y is not None
    content = io.BytesIO()
    np.savez_compressed(content, x=test.x, y=test.y)
    write_atomic(path, content.getvalue())


def trace(stores: Sequence[Store], profiles: Sequence[Profile]) -> list[dict[str, Any]]:
    """Budgets that fall and rise between the smallest compositions and the originals, from what was profiled."""
    least_memory = most_memory = 0
    latency: dict[str, tuple[float, float]] = {}
    for store, profile in zip(stores, profiles, strict=True):
        of = {(o.segment, o.option): o for o in profile.options}
        least_ms = most_ms = profile.overhead_ms.get(1, 0.0)
        for segment in store.manifest.segments:
            options = [of[segment.name, o.name] for o in segment.options]
            original = of[segment.name, segment.original.name]
            least_memory += min(o.memory_bytes for o in options)
            most_memory += original.memory_bytes
            least_ms += min(o.latency[0].median_ms for o in options)
            most_ms += original.latency[0].median_ms
        latency[store.name] = (least_ms, most_ms)
    tables = [ModelTable.from_store(store, profile) for store, profile in zip(stores, profiles, strict=True)]
    scheduler, budgets = Scheduler(tables), []
    for memory, time in _TRACE:
        budget: dict[str, Any] = {}
        if memory is not None:
            budget["memory_bytes"] = round(least_memory + memory * (most_memory - least_memory))
        if time is not None:
            budget["latency_ms"] = {name: round(a + time * (b - a), 4) for name, (a, b) in latency.items()}
        budgets.append(_held(scheduler, budget))
    return budgets


def _held(scheduler: Scheduler, budget: dict[str, Any]) -> dict[str, Any]:
    """The budget, with as much memory as its latencies take: the smallest options are not always the fastest."""
    try:
        scheduler.plan(Budget(**budget))
    except InfeasibleError as e:
        needed = next((limit.needed for limit in e.report.limits if limit.kind == "memory"), None)
        if needed is None:
            raise
        return {**budget, "memory_bytes": int(needed)}
    return budget


def _replay(out: Path, stores: Sequence[Store]) -> list[Step]:
    """Run the trace."""
    from legodnn.runtime.feeds.replay import Step

    paths = [str(s.path) for s in stores]
    trace_file, inputs = str(out / "trace.json"), str(out / "digits.npz")
    printed = _legodnn("run", *paths, "--input", inputs, "--trace", trace_file, "--json")
    return TypeAdapter(list[Step]).validate_json(printed)


def _legodnn(*arguments: str) -> str:
    """What a command prints, run in a process of its own, without TensorFlow, as on a device."""
    done = processes.run_module("legodnn", *arguments, stderr=None)
    if done.returncode:
        raise LegoError(f"`legodnn {arguments[0]}` failed with status {done.returncode}; see the message above")
    return done.stdout
