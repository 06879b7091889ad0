"""What a user would have had instead: whole pruned and quantised models, and the paper's own system, against this one.

    python benchmarks/comparison.py --data DATA --work DIR --json > benchmarks/results/comparison.json
    python benchmarks/comparison.py --data DATA --work DIR --network vgg16_half --json \
        > benchmarks/results/comparison_vgg16_half.json
    python benchmarks/comparison.py --data DATA --quick

DATA holds cifar-10-batches-py and the weights of the network in weights/, such as resnet20_cifar10.npz; for `fcn`, a
segmenter which is trained here first, it holds camvid. Every system makes a store from the same trained network, with
the same images and about the same processor time (search included, reported), by the commands that users have where
there is one. Each store is profiled here, and then run under the same budgets by the same runtime: twelve of memory and
twelve of latency, in even ratios from the least that any of the systems can keep to what the original takes. Under each
budget every system plans for itself, by its own prediction of accuracy; what counts is the accuracy measured then.

- `ours`: blocks pruned, refitted, distilled and trained in compositions; float32 and int8.
- `paper`: LegoDNN as published: L1 pruning, block-wise distillation alone, float32, accuracy predicted by the sum of
  single drops.
- `uniform`: whole models, each layer pruned alike by L1, refitted, fine-tuned; one per size, in float32 and int8.
- `exact`: the same with widths that the exact search gives; for VGG16 also `slimming`, `amc`, `agmc`, `metapruning` and
  `pr_darts`, with the widths that these strategies give.
- `students`: narrower networks, trained from nothing by distillation and labels; float32 and int8.
- `nested`: one set of weights in five widths, the narrowest trained first and then left as it is (NestDNN); float32 and
  int8. `slimmable`: the same, all widths trained together with batch norms of their own (US-Net).
- `quantised`: the original in float32 and int8.

Of `ours`, what its parts are worth: `unjoined`, without training in compositions, for which blocks are trained longer;
`unrounded`, with any numbers of channels; `fine`, up to 16 blocks, for networks that are small enough to be cut into
fewer; `summed`, which predicts accuracy as the paper does; `additive`, which predicts it without interactions;
`float32`, without int8; and `unpruned`, with nothing but the precisions of the original blocks.

CIFAR-10's networks were trained on all training images. So the images that accuracy is predicted by come from the test
set, and those that it is measured on are the rest of that. CamVid is taken in its three parts, and its accuracy is the
mean IoU. Limits of latency are about medians; what was measured while the machine was slower than it can be is measured
again (`support.steady`). Interrupted, it goes on: each store, profile and run is kept in DIR, for the arguments that it
was begun with.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.console import text_table
from legodnn.files import write_atomic
from legodnn.manifest import Option
from legodnn.profile import Profile, default_path
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.workload_tables import workload_tables
from legodnn.store import Store
from legodnn.workload import Budget, load_workload
from support.ablations import only
from support.additive import predict_additively
from support.compared import FINE, NETWORKS, TRAINED_PARTS, UNJOINED, UNROUNDED
from support.kept import begun, kept
from support.limits import least
from support.report import Bars, Figures, bar, run
from support.rivals import RIVALS, SHARES
from support.steady import SLOWER, Steady, reference_ms, times_predicted
from support.summed import predict_by_summed_drops

# Ablations that are copies of ours, with which of its options.
WITHOUT: dict[str, Callable[[Option], bool]] = {
    "summed": lambda option: True,
    "additive": lambda option: True,
    "float32": lambda option: option.precision == "float32",
    "unpruned": lambda option: not option.sparsity,
}
SPARSITIES = "0.25,0.5,0.75,0.875"
_PROFILES = 3  # of a system at most, where runs take other times than its profile says


def systems(network: str) -> list[str]:
    """Return the names of the systems that are compared with a network."""
    trained = [name for name in NETWORKS[network].epochs if name not in TRAINED_PARTS]
    return [*trained[:3], "quantised", *trained[3:]]


def ablations(network: str) -> list[str]:
    """Return the names of the systems that tell what the parts of ours are worth to a network."""
    return [*(name for name in NETWORKS[network].epochs if name in TRAINED_PARTS), *WITHOUT]


def epochs_of(name: str, args: argparse.Namespace) -> int:
    """Return the epochs of a system."""
    return max(1, round(NETWORKS[args.network].epochs[name] * float(args.effort)))


def commands(name: str, args: argparse.Namespace) -> list[str]:
    """Return the command that makes a system's store, without its folder."""
    source = [str(args.work / "original.keras"), "--data", f"npz:{args.work / 'images.npz'}"]
    epochs = str(epochs_of(name, args))
    if name in ("ours", "paper", *TRAINED_PARTS):
        blocks = ["build", *source, "--sparsities", SPARSITIES, "--batch-size", "128"]
        blocks += ["--max-blocks", "16"] if name in ("paper", FINE) else []
        blocks += ["--round-to", "1"] if name in ("paper", UNROUNDED) else []
        if name != "paper":
            alone, joint = (epochs, "0") if name == UNJOINED else (str(max(1, round(0.75 * int(epochs)))), epochs)
            return [*blocks, "--distill-epochs", alone, "--joint-epochs", joint, "--precisions", "float32,int8"]
        plain = ["--strategy", "l1", "--joint-epochs", "0", "--precisions", "float32"]
        return [*blocks, *plain, "--distill-epochs", epochs]
    shares = ",".join(map(str, SHARES))
    whole = ["compress", *source, "--targets", shares, "--batch-size", "128", "--precisions", "float32,int8"]
    return [*whole, "--strategy", "l1" if name == "uniform" else name, "--epochs", epochs]


def module(*arguments: str) -> str:
    """Run a module as a command, and return what it prints; its progress is seen."""
    folder = Path(__file__).parent  # of `support`
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments[:2])} failed with status {done.returncode}")
    return done.stdout


def legodnn(*arguments: str) -> str:
    """Run a command as users do, and return what it prints."""
    return module("legodnn", *arguments)


def write_original(args: argparse.Namespace) -> None:
    """Write the trained network, the images of training and of fits, and those that accuracy is measured on."""
    network = NETWORKS[args.network]
    data = network.images(args.data, args.work / "streets", args.fit)
    network.original(args.data, data, args.quick).save(args.work / "original.keras")
    parts = {"train": data.train.first(args.images), "val": data.val, "test": data.test.first(args.test)}
    labelled: dict[str, Any] = {f"{a}_{n}": np.asarray(getattr(p, a)) for n, p in parts.items() for a in ("x", "y")}
    np.savez(args.work / "images.npz", **labelled)
    np.savez(args.work / "fit.npz", x=labelled["x_val"], y=labelled["y_val"])
    np.savez(args.work / "test.npz", x=labelled["x_test"], y=labelled["y_test"])


def made(name: str, args: argparse.Namespace) -> Figures:
    """Make a system's store, and return what it cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    store, fit_images = args.work / "stores" / name, str(args.work / "fit.npz")
    if name in RIVALS:
        files = args.work / f"{name}.files"
        epochs = str(epochs_of(name, args))
        of = ["--network", args.network, "--original", str(args.work / "original.keras"), "--epochs", epochs]
        module("support.rivals", name, *of, "--images", str(args.work / "images.npz"), "--out", str(files))
        legodnn("pack", *map(str, sorted(files.iterdir())), "--out", str(store), "--data", fit_images)
    elif name in WITHOUT:
        only(args.work / "stores" / "ours", store, WITHOUT[name])
    elif name == "quantised":
        options = Store(args.work / "stores" / "uniform").manifest.blocks[0].options
        files = [str(args.work / "stores" / "uniform" / o.file) for o in options if not o.sparsity]
        legodnn("pack", *files, "--out", str(store), "--data", fit_images)
    else:
        legodnn(*commands(name, args), "--out", str(store))
    predict = {"paper": predict_by_summed_drops, "summed": predict_by_summed_drops, "additive": predict_additively}
    if name in predict:
        fit = np.load(args.work / "fit.npz")
        predict[name](Store(store), fit["x"], fit["y"])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    manifest = Store(store).manifest
    return {
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "bytes": sum(o.bytes for s in manifest.segments for o in s.options),
        "sizes": math.prod(len(b.options) for b in manifest.blocks),
    }


def profile(store: Path, steady: Steady) -> None:
    """Measure a store's profile, unless that has been done."""

    def measure() -> None:
        default_path(store).unlink(missing_ok=True)
        legodnn("profile", str(store), "--seconds", "30")

    if not default_path(store).exists():
        steady.measured(measure)


def scheduler_of(store: Path) -> Scheduler:
    """Return the scheduler that a runtime of a store has."""
    measured = Profile.load(default_path(store))
    return Scheduler(workload_tables(load_workload([store]), [(Store(store), measured)]))


def original_takes(store: Path) -> tuple[int, float]:
    """Return the memory in bytes and the latency in milliseconds of a store's original, of one file."""
    original = Store(store).manifest.blocks[0].original
    (found,) = (o for o in Profile.load(default_path(store)).options if o.option == original.name)
    return found.memory_bytes, found.latency[0].median_ms


def budgets_of(stores: Path, compared: Sequence[Scheduler], steps: int) -> list[dict[str, Any]]:
    """Return limits of memory and then of latency, in even ratios from the least of all systems to the original's."""
    most, slowest = original_takes(stores / "uniform")
    smallest = min(least(s, Budget(memory_bytes=1)) for s in compared)
    fastest = min(least(s, Budget(latency_ms=1e-4, quantile=0.5)) for s in compared)
    return [
        *({"memory_bytes": math.ceil(m)} for m in np.geomspace(smallest, most, steps)),
        *({"latency_ms": math.ceil(t * 1e4) / 1e4, "quantile": 0.5} for t in np.geomspace(fastest, slowest, steps)),
    ]


def replayed(name: str, budgets: list[dict[str, Any]], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Run a system's store under the budgets, and return what was measured; None where nothing kept the budget."""
    trace = args.work / "trace.json"
    write_atomic(trace, json.dumps([{}, *budgets]))  # a runtime needs a first plan, whatever it cannot keep later
    store, images = args.work / "stores" / name, args.work / "test.npz"
    steps = json.loads(legodnn("run", str(store), "--input", str(images), "--trace", str(trace), "--json"))
    rows = []
    for step in steps[1:]:
        ((model, measured),) = step["models"].items()
        (planned,) = (p for p in step["plan"]["models"] if p["name"] == model)
        rows.append(
            {
                "accuracy": None if step["refused"] else measured["accuracy"],
                "predicted": planned["accuracy"],
                "memory_bytes": step["memory_bytes"],
                "median_ms": measured["median_ms"],
                "predicted_ms": planned["latency_ms"],
                "options": planned["options"],
            }
        )
    return rows


def told_true(name: str, budgets: list[dict[str, Any]], steady: Steady, args: argparse.Namespace) -> Any:
    """Return what `replayed` does, with a profile that was measured at the same speed of the machine."""
    store, attempts = args.work / "stores" / name, 1 if args.quick else _PROFILES
    while True:
        profile(store, steady)
        rows = steady.measured(partial(replayed, name, budgets, args))
        attempts -= 1
        if not attempts or 1 / SLOWER <= times_predicted(rows) <= SLOWER:
            return rows
        print(f"{name} took {times_predicted(rows):.2f} times what its profile says: again", file=sys.stderr)
        default_path(store).unlink()


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Make, profile and run every system."""
    if args.quick:
        args.images, args.fit, args.test, args.budgets, args.effort = 300, 60, 100, 3, 0.01
    with tempfile.TemporaryDirectory() as temporary:
        args.work, args.data = (args.work or Path(temporary)).resolve(), args.data.resolve()
        images = {"train_images": args.images, "fit_images": args.fit, "test_images": args.test}
        settings = {"network": args.network, **images, "effort": args.effort, "limits": args.budgets}
        begun(args.work, settings)
        if not (args.work / "test.npz").exists():
            write_original(args)
        compared, parts, costs = systems(args.network), ablations(args.network), {}
        every = (*compared, *parts)
        for name in every:
            costs[name] = kept(args.work / f"{name}.cost.json", partial(made, name, args))
        stores = args.work / "stores"
        steady = Steady(partial(reference_ms, Store(stores / "quantised")), args.work / "speed.txt", not args.quick)
        for name in every:
            profile(stores / name, steady)
        schedulers = [scheduler_of(stores / name) for name in compared]
        budgets = kept(args.work / "budgets.json", partial(budgets_of, stores, schedulers, args.budgets))
        rows = {}
        for name in every:
            rows[name] = kept(args.work / f"{name}.rows.json", partial(told_true, name, budgets, steady, args))
    ablated = {name: rows.pop(name) for name in parts}
    figures = {**settings, "costs": costs, "budgets": budgets, "rows": rows, "ablations": ablated}
    return figures, bars_of(figures)


def accuracy_of(row: Mapping[str, Any]) -> float:
    """Return the accuracy in percent; a system that cannot keep a budget gives nothing right."""
    return 100 * (row["accuracy"] or 0.0)


def bars_of(figures: Figures) -> Bars:
    """Return, for limits of memory and of latency, ours against the best of the others at the same budget."""
    half, bars = len(figures["budgets"]) // 2, []
    for what, part in (("memory", slice(half)), ("latency", slice(half, None))):
        ours = [accuracy_of(r) for r in figures["rows"]["ours"][part]]
        others = zip(
            *([accuracy_of(r) for r in rows[part]] for n, rows in figures["rows"].items() if n != "ours"), strict=True
        )
        gains = [a - max(b) for a, b in zip(ours, others, strict=True)]
        bars.append(bar(f"least gain over the best other under limits of {what}, points", min(gains), -0.5, "higher"))
        bars.append(
            bar(f"mean gain over the best other under limits of {what}, points", statistics.mean(gains), 0, "higher")
        )
    return bars


def table(figures: Figures) -> str:
    """Return the accuracy of every system under every budget, and what the systems cost."""
    of = {**figures["rows"], **figures["ablations"]}
    rows = []
    for i, budget in enumerate(figures["budgets"]):
        memory = budget.get("memory_bytes")
        limit = f"{memory / 1e6:.2f} MB" if memory else f"{budget['latency_ms']:.3f} ms"
        found = (measured[i]["accuracy"] for measured in of.values())
        rows.append((limit, *("none" if a is None else f"{a:.2%}" for a in found)))
    costs = [
        (n, f"{c['processor_seconds']:.0f}", f"{c['bytes'] / 1e6:.1f}", f"{c['sizes']:,}")
        for n, c in figures["costs"].items()
    ]
    return text_table(rows, ("limit", *of)) + "\n\n" + text_table(costs, ("system", "processor s", "MB", "sizes"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare of what and how much is done."""
    parser.add_argument("--network", choices=tuple(NETWORKS), default="resnet20", help="default: resnet20")
    parser.add_argument("--effort", type=float, default=1.0, help="factor for the epochs of training (default: 1)")
    parser.add_argument("--images", type=int, default=10_000, help="training images (default: 10,000)")
    parser.add_argument("--fit", type=int, default=2_000, help="images that accuracy is predicted by (default: 2,000)")
    parser.add_argument("--test", type=int, default=4_000, help="images that accuracy is measured on (default: 4,000)")
    parser.add_argument("--budgets", type=int, default=12, help="limits of each kind (default: 12)")


if __name__ == "__main__":
    run(
        "comparison",
        __doc__,
        measure,
        folders=("data", "work"),
        packages=("numpy", "keras", "tensorflow"),
        add_arguments=add_arguments,
        table=table,
    )
