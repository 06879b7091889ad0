"""`legodnn demo`: every step on real data, from two untrained networks to a runtime that follows its budgets.

Two networks learn the handwritten digits that come with scikit-learn, are cut into blocks, distilled, exported and
profiled; then a process without TensorFlow runs both under a trace of budgets. Stores and profiles that exist already
are used again.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from legodnn import processes
from legodnn.commands.demo_stores import demo_stores
from legodnn.commands.demo_trace import demo_trace
from legodnn.commands.plotting import check_matplotlib
from legodnn.commands.run import steps_json, steps_table
from legodnn.console import say
from legodnn.errors import LegoError, ProfileError
from legodnn.files import check_folder, write_atomic
from legodnn.profile import Profile, default_path
from legodnn.runtime.device.allowance import free_memory_bytes, usable_processors
from legodnn.store import Store

if TYPE_CHECKING:
    from legodnn.recipe import Recipe
    from legodnn.runtime.feeds.replay import Step

log = logging.getLogger("legodnn.commands")

_BUILD_BYTES = 3_000_000_000  # what a build takes here, TensorFlow in two processes included


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "demo",
        help=summary,
        description="Train two networks on scikit-learn's handwritten digits, make a store of each, profile them on "
        "this machine, and replay budgets that fall and rise, governed. Stores, profiles, a report (HTML) and a plot "
        "are written to a folder; a second run uses the stores again. Needs the `train` and `plot` extras.",
        epilog="example:\n  legodnn demo --quick --out quick-demo\n  legodnn demo --out demo",
    )
    parser.add_argument("--out", default="demo", metavar="FOLDER", help="where everything is written (default: demo)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="train few options for few epochs, in a minute or two: shows that it works, not how well",
    )
    parser.add_argument("--json", action="store_true", help="print the steps as JSON instead of the table")
    parser.set_defaults(run=run)


def recipes(quick: bool) -> list[Recipe]:
    """Return the recipes of the demo's two models."""
    from legodnn.recipe import Recipe

    epochs = {"train_epochs": 14, "distill_epochs": 6, "joint_epochs": 8}
    effort: dict[str, Any] = {**epochs, "precisions": ("float32", "int8")}
    if quick:
        effort.update(train_epochs=3, distill_epochs=1, joint_epochs=3, sparsities=(0.5,), samples=6, strategy="l1")
    return [
        Recipe(model="vgg16", name="vgg16", width=0.25, **effort),
        Recipe(model="resnet18", name="resnet18", width=0.125, **effort),
    ]


def run(args: argparse.Namespace) -> int:
    """Build or reuse the stores, profile or reuse profiles, replay the trace, and write the report."""
    check_matplotlib("the demo's report", "train,plot")
    from legodnn.runtime.feeds.report import write_report

    out = Path(args.out)
    check_folder(out, "--out")
    wanted = recipes(args.quick)
    stores = demo_stores(out / "stores", wanted, side_by_side=_has_room())
    profiles = [_profile(store, ["--quick"] if args.quick else ["--seconds", "20"]) for store in stores]
    _write_inputs(out / "digits.npz", wanted[0])
    write_atomic(out / "trace.json", json.dumps(demo_trace(stores, profiles), indent=1) + "\n")
    steps = run_trace(stores, out / "digits.npz", out / "trace.json", 0.5 if args.quick else 1.5)
    report = write_report(out, {s.name: s for s in stores}, profiles, steps)
    if args.json:
        print(steps_json(steps))
    else:
        _print(stores, steps)
        say(f"\nreport: {report} (opens offline), plot: {out / 'plot.svg'}")
        say(_next_commands(stores))
    return 0


def _next_commands(stores: Sequence[Store]) -> str:
    """Return what to do after the demo: commands to copy."""
    first, every = shlex.quote(str(stores[0].path)), shlex.join(str(store.path) for store in stores)
    return f"next:   legodnn inspect {first}\n        legodnn plan {every} --memory 10MB"


def _has_room() -> bool:
    """Whether two builds at a time have memory and processors here."""
    return free_memory_bytes() > 2 * _BUILD_BYTES and usable_processors() > 1


def _print(stores: Sequence[Store], steps: Sequence[Step]) -> None:
    for store in stores:
        accuracy = store.manifest.accuracy
        measured = steps[0].models[store.name].accuracy
        say(
            f"{store.name}: {len(store.manifest.blocks)} blocks; the original classifies {measured:.1%} of the "
            f"held-out test digits ({accuracy.original:.1%} of the validation digits)"
        )
    say(f"\n{steps_table(steps)}")


def _profile(store: Store, effort: Sequence[str]) -> Profile:
    """Read the store's profile if it was measured on this device, or measure a new one with flags that say how long."""
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
            log.info("profiling again: %s", e)
    _legodnn("profile", str(store.path), *effort)
    return Profile.load(path)


def _write_inputs(path: Path, recipe: Recipe) -> None:
    """Write the test digits, which nothing was trained or fitted on, to a file for the process that runs the models."""
    import numpy as np

    from legodnn.blocks.importing.data_sources import data_of

    test = data_of(recipe).test
    assert test.y is not None
    content = io.BytesIO()
    np.savez_compressed(content, x=test.x, y=test.y)
    write_atomic(path, content.getvalue())


def run_trace(stores: Sequence[Store], inputs: Path, trace: Path, seconds: float) -> list[Step]:
    """Run stores on a file of inputs under a file of budgets, in a process without TensorFlow.

    Args:
        stores: the stores.
        inputs: the file of inputs.
        trace: the file of budgets.
        seconds: how long inputs are run under each budget, again and again.

    Returns:
        What was measured under each budget.

    Raises:
        LegoError: the process failed, and has said why.
    """
    from legodnn.runtime.feeds.replay import Step

    paths = [str(store.path) for store in stores]
    of = ["--input", str(inputs), "--trace", str(trace), "--seconds", str(seconds), "--governed"]
    printed = _legodnn("run", *paths, *of, "--json")
    return TypeAdapter(list[Step]).validate_json(printed)


def _legodnn(*arguments: str) -> str:
    """Run a command in a process of its own, without TensorFlow, as on a device, and return what it prints."""
    done = processes.run_module("legodnn", *arguments, stderr=None)
    if done.returncode:
        raise LegoError(f"`legodnn {arguments[0]}` failed with status {done.returncode}; see the message above")
    return done.stdout
