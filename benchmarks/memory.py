"""Whether the memory limit holds: random budgets, after switches and in fresh processes, with peaks; and what small
models hold.

    python benchmarks/memory.py --json > benchmarks/results/memory.json
    python benchmarks/memory.py --quick

A U-Net for images of 96x128, MobileNetV2 for 224x224, and ResNet-18 beside VGG16-half, either of which may be
suspended, are profiled, then run under budgets drawn between the smallest plan and the originals. Each budget is set
and all models that are not suspended run three times. `measured` is what this process takes then, before anything is
given back, less what it took before the models; `peak` is the most that it took meanwhile, by the kernel's own account.
During a switch the limit is the larger of the two budgets. `fresh` is measured under the same budgets in processes that
have not switched.

`small` is what the two networks of the demo hold at their originals and at their smallest options, in fresh processes,
beside one undivided model each in the public Interpreter.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.arrays import AnyArray
from legodnn.profile import Profile, default_path
from legodnn.profiler import Effort, profile_store
from legodnn.runtime.device.memory import process_memory_bytes
from legodnn.runtime.planning.scheduler import ModelTable, Scheduler
from legodnn.runtime.runtime import Runtime
from legodnn.savings import savings
from legodnn.store import Store
from legodnn.workload import Budget, Workload, WorkloadModel
from support import held, untrained
from support.limits import least
from support.originals import image
from support.report import Bars, Figures, bar, run, spread

WORKLOADS = {"unet": ("unet",), "mobilenetv2": ("mobilenetv2",), "two": ("resnet18", "vgg16-half")}
SMALL = ("vgg16-quarter", "resnet18-eighth")


def reset_peak() -> None:
    """Have the kernel begin anew to note the most memory that this process takes."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the most that this process took since `reset_peak`: what it takes now, and how much more the peak was."""
    now = process_memory_bytes()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak, resident = (1024 * int(status[name].split()[0]) for name in ("VmHWM", "VmRSS"))
    return now + max(0, peak - resident)


def profiled(store: Store) -> Profile:
    """Return the store's profile, measured here if there is none."""
    path = default_path(store.path)
    if not path.exists():
        profile_store(store, Effort(seconds=2.0, plans=0)).save(path)
    return Profile.load(path)


def opened(stores: dict[str, Store], limit: int) -> Runtime:
    """Open a runtime for models that may be suspended, unless there is only one."""
    models = tuple(
        WorkloadModel(name=name, store=str(store.path), critical=len(stores) == 1) for name, store in stores.items()
    )
    return Runtime(Workload(models=models), Budget(memory_bytes=limit))


def infer_all(runtime: Runtime, images: dict[str, AnyArray]) -> None:
    """Run every model that is not suspended three times."""
    for _ in range(3):
        for name, x in images.items():
            if name not in runtime.plan.suspended:
                runtime.infer(name, x)


def elsewhere(function: str, argument: int | Sequence[int], stores: Iterable[Store]) -> Any:
    """Return what a function of this module returns, given an argument and stores, in a process of its own.

    That process holds no TensorFlow, which made the stores here: its hundreds of megabytes come and go as the kernel
    takes pages that nobody reads.
    """
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import json, memory\n"
        "stores = {memory.Path(path).name: memory.Store(path) for path in sys.argv[2:]}\n"
        f"print(json.dumps(memory.{function}(json.loads(sys.argv[1]), stores)))\n"
    )
    command = [sys.executable, "-c", program, json.dumps(argument), *(str(store.path) for store in stores)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def fresh(limit: int, stores: dict[str, Store]) -> dict[str, Any]:
    """Return what is predicted and measured under a budget, in bytes, in this process, which should set no other."""
    images = {name: next(iter(image(store).values())) for name, store in stores.items()}
    with opened(stores, limit) as runtime:
        reset_peak()
        infer_all(runtime, images)
        base = runtime.base_memory_bytes
        peak, measured = peak_bytes() - base, process_memory_bytes() - base
        predicted = runtime.plan.memory_bytes
    return {
        **{"limit": limit, "predicted": predicted, "measured": measured, "peak": peak},
        "excess": excess(peak, limit),
    }


def drawn_budgets(count: int, stores: dict[str, Store]) -> list[int]:
    """Return limits: what all originals take, and then random ones from the smallest plan on, small ones as often."""
    profiles = [(store, profiled(store)) for store in stores.values()]
    most = sum(savings(store, profile).memory_bytes[0] for store, profile in profiles)
    smallest = min(least(Scheduler([ModelTable.from_store(*pair)]), Budget(memory_bytes=1)) for pair in profiles)
    rng = random.Random(0)
    return [most, *(math.ceil(smallest * (most / smallest) ** rng.random()) for _ in range(count))]


def under_budgets(limits: Sequence[int], stores: dict[str, Store]) -> list[dict[str, Any]]:
    """Open models under a limit and set others one after another; return what they held, and `excess` over each."""
    most, *budgets = limits
    images = {name: next(iter(image(store).values())) for name, store in stores.items()}
    found = np.zeros((len(budgets), 6))  # allocated before the base is measured
    with opened(stores, most) as runtime:
        base = runtime.base_memory_bytes
        for limit, row in zip(budgets, found, strict=True):
            reset_peak()
            runtime.budget = Budget(memory_bytes=limit)
            switching = peak_bytes() - base
            reset_peak()
            infer_all(runtime, images)
            running, measured = peak_bytes() - base, process_memory_bytes() - base
            plan = runtime.plan
            row[:] = plan.memory_bytes, measured, switching, running, len(plan.suspended), runtime.last_switch.switch_ms
    names = ("predicted", "measured", "peak_switching", "peak_running", "suspended", "switch_ms")
    steps: list[dict[str, Any]] = []
    for before, limit, values in zip([most, *budgets], budgets, found.tolist(), strict=False):
        step = {"limit": limit, **dict(zip(names, values, strict=True))}
        over = (excess(step["peak_running"], limit), excess(step["peak_switching"], max(limit, before)))
        steps.append({**step, "excess": max(over)})
    return steps


def excess(taken: float, limit: float) -> float:
    """Return by how many bytes more is held than the limit and 2 % of it or 0.5 MB; it is negative where less is."""
    return taken - limit - max(0.02 * limit, 0.5e6)


def summary(steps: list[dict[str, Any]]) -> Figures:
    """Return how what was measured lies to limits and predictions."""
    return {
        "budgets": len(steps),
        "measured / limit": spread([s["measured"] / s["limit"] for s in steps]),
        "prediction_error": spread([abs(s["predicted"] - s["measured"]) / s["measured"] for s in steps]),
        "signed_prediction_error": spread([s["predicted"] / s["measured"] - 1 for s in steps]),
        "most above prediction, bytes": max(s["measured"] - s["predicted"] for s in steps),
        "worst": max(steps, key=lambda s: s["excess"]),
    }


def small(stores: Path) -> tuple[Figures, Bars]:
    """Compare what small models hold with what undivided ones hold in the Interpreter."""
    found: Figures = {}
    kinds = ("interpreter", "originals", "smallest")
    for name in SMALL:
        store = untrained.build(name, stores / name)
        untrained.undivided(store.path)
        for what in kinds:
            command = [sys.executable, held.__file__, str(store.path), what]
            subprocess.run(command, check=True, capture_output=True)  # packs weights, if need be
            done = subprocess.run(command, check=True, capture_output=True)
            found.setdefault(name, {})[what] = json.loads(done.stdout)
    total = {what: sum(found[name][what]["all"] for name in SMALL) for what in kinds}
    bars = []
    for name in SMALL:
        times = found[name]["originals"]["all"] / found[name]["interpreter"]["all"]
        bars.append(bar(f"{name}: originals / undivided in the Interpreter", times, 1.10))
    bars.append(bar("small models together: smallest / originals", total["smallest"] / total["originals"], 0.5))
    return {**found, "together": total}, bars


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure both workloads, and the small models."""
    figures: Figures = {}
    bars: Bars = []
    for workload, names in WORKLOADS.items():
        stores = {name: untrained.build(name, args.stores / name) for name in names}
        limits = elsewhere("drawn_budgets", 10 if args.quick else 200, stores.values())
        steps = elsewhere("under_budgets", limits, stores.values())
        alone = [elsewhere("fresh", s["limit"], stores.values()) for s in steps[:: 5 if args.quick else 1]]
        figures[workload] = {"after switches": summary(steps), "fresh": summary(alone)}
        figures[workload]["after switches"]["peak / limit"] = spread([s["peak_running"] / s["limit"] for s in steps])
        figures[workload]["after switches"]["switch_ms"] = spread([s["switch_ms"] for s in steps])
        figures[workload]["after switches"]["with a suspended model"] = sum(s["suspended"] > 0 for s in steps)
        for kind, found in (("after switches, peaks included", steps), ("fresh", alone)):
            title = f"{workload}, {kind}: budgets exceeded by more than 2 % or 0.5 MB"
            bars.append(bar(title, sum(s["excess"] > 0 for s in found), 0))
        error = figures[workload]["fresh"]["prediction_error"]["median"]
        bars.append(bar(f"{workload}, fresh: predicted against measured memory, median relative error", error, 0.1))
    figures["small"], more = small(args.stores)
    return figures, [*bars, *more]


if __name__ == "__main__":
    run("memory", __doc__, measure, folders=["stores"])
