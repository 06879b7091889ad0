"""Strategies of pruning compared: whole networks at equal multiply-accumulates, before and after fine-tuning.

    python benchmarks/strategies.py --data DATA --work DIR --json > benchmarks/results/strategies.json
    python benchmarks/strategies.py --data DATA --work DIR --networks vgg16_half --targets .3 \
        --strategies l1,exact,amc,agmc --seeds 3
    python benchmarks/strategies.py --data DATA --quick

DATA holds cifar-10-batches-py, and in weights/ resnet56_cifar10.npz and vgg16_half_cifar10.npz (`--quick` takes
resnet20_cifar10.npz). Each strategy prunes a network to a share of its multiply-accumulates and refits it, by
`--images` images of the training set without labels; agents walk for `--episodes`. The error of the outputs and the
accuracy are those on test images, which nothing was chosen by or trained on. With `--cpu-minutes`, what is left of so
many minutes of processor time after searching is spent on fine-tuning, by distillation and on labels, of images that
are flipped and shifted: who searches longer is trained less. Minutes become images by what an image takes, measured
once for each network and target. Latency is that of TensorFlow Lite files on one thread, all of one target in turn.

Blocks: the blocks of VGG16 that have several groups of channels are pruned by `l1` and by the default strategy at equal
multiply-accumulates, and trained alike, in one pass. The error of a block's outputs for test images is compared.

DIR keeps all that is finished, of runs with other arguments too. `--report` tells all that it holds, and measures
nothing but latency.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from legodnn.array_files import write_arrays
from legodnn.blocks.accuracy.chance import outputs_of
from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.export.convert import convert
from legodnn.blocks.export.latency import latencies_ms
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.difference import relative_error
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pruning.allocation import Target
from legodnn.blocks.pruning.amc import EPISODES
from legodnn.blocks.pruning.searches import agmc_search, amc_search, searched_widths
from legodnn.blocks.pruning.strategies import STRATEGIES, Strategy, descendants, strategy_of
from legodnn.blocks.pruning.surgery import remove
from legodnn.blocks.training.tuning import tune_on
from legodnn.console import text_table
from legodnn.files import write_atomic
from support.pruned_blocks import DEFAULT, compared_blocks
from support.report import Bars, Figures, bar, run
from support.timed_checkpoint import TimedCheckpoint
from support.trained import NETWORKS, trained
from support.tuning import BATCH, tuning_seconds
from support.tuning import tune as tune_images

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)

TARGETS = {"vgg16_half": (0.4, 0.2), "resnet56": (0.5,)}
LEARNED = {"amc": amc_search, "agmc": agmc_search}


@dataclass(frozen=True)
class Case:
    """A network, the share of its multiply-accumulates that is left, and how it is pruned.

    Attributes:
        images: that channels are chosen by, and weights refitted to.
        episodes: of the strategy's agent; None where it has none.
    """

    network: str
    share: float
    strategy: str
    seed: int
    images: int
    episodes: int | None

    def file(self, work: Path, ending: str) -> Path:
        """Return the file of a work folder that keeps something of this case."""
        parts = (self.network, f"{self.share:g}", self.strategy, self.seed, self.images, self.episodes)
        return work / ("-".join(str(part) for part in parts if part is not None) + ending)


def planned(args: argparse.Namespace) -> Iterator[Case]:
    """Yield what is to be measured; end with a message where a name is not known."""
    for given, known in ((args.networks, NETWORKS), (args.strategies, STRATEGIES)):
        if unknown := sorted(set(given.split(",")) - set(known)):
            sys.exit(f"there is no {unknown[0]!r} among {', '.join(known)}")
    for network in args.networks.split(","):
        for share in map(float, args.targets.split(",")) if args.targets else TARGETS.get(network, (0.5,)):
            for seed in range(args.seeds):
                for strategy in args.strategies.split(","):
                    episodes = args.episodes if strategy in LEARNED else None
                    yield Case(network, share, strategy, seed, args.images, episodes)


def strategy_for(case: Case) -> Strategy:
    """Return a case's strategy, whose agent, if it has one, walks for as many episodes as the case says."""
    strategy = strategy_of(case.strategy, case.seed)
    if case.episodes is None:
        return strategy
    search_for = partial(LEARNED[case.strategy], episodes=case.episodes)
    return replace(strategy, allocator=partial(searched_widths, search_for=search_for))


def on_test_images(model: keras.Model, original: keras.Model, data: Dataset) -> Figures:
    """Return the accuracy on test images, and the error of outputs against the original's."""
    (found,), (wanted,) = outputs_of(model, data.test.x), outputs_of(original, data.test.x)
    right = float((found.argmax(axis=1) == data.test.y).mean())
    return {"accuracy": right, "error": float(relative_error([found], [wanted]))}


def prune(case: Case, data: Dataset, args: argparse.Namespace, work: Path) -> None:
    """Prune a network, and keep weights, file and figures."""
    keras.utils.set_random_seed(case.seed)
    model = trained(case.network, args.data / "weights")
    x = data.train.x[np.random.default_rng(case.seed).permutation(len(data.train))[: case.images]]
    start, target = time.process_time(), Target("macs", case.share)
    training = tune_on(model, [x], seed=case.seed)
    ((removed, student),) = descendants(model, [target], strategy_for(case), [x], True, training, seed=case.seed)
    row = {**asdict(case), "search_cpu_s": time.process_time() - start, "macs_share": macs(student) / macs(model)}
    row |= on_test_images(student, model, data)
    write_arrays(case.file(work, ".npz"), {"removed": removed} | _named(student))
    write_atomic(case.file(work, ".tflite"), convert(student))
    write_atomic(case.file(work, ".json"), json.dumps(row))


def _named(model: keras.Model) -> dict[str, np.ndarray]:
    return {f"weight {number}": w for number, w in enumerate(model.get_weights())}


def tune(case: Case, data: Dataset, args: argparse.Namespace, work: Path) -> None:
    """Fine-tune what was pruned in what is left of the minutes, and keep the figures."""
    model = trained(case.network, args.data / "weights")
    with np.load(case.file(work, ".npz")) as kept:
        student = remove(model, analyse(model), kept["removed"])
        student.set_weights([kept[f"weight {number}"] for number in range(len(student.weights))])
    left = 60 * args.cpu_minutes - json.loads(case.file(work, ".json").read_text())["search_cpu_s"]
    images = int(left / image_seconds(case, model, student, data, work))
    spent = 0.0
    checkpoint = TimedCheckpoint(case.file(work, f"-tuning-{args.cpu_minutes:g}.npz"))
    if images >= BATCH:
        tune_images(model, student, data, images, checkpoint)
        spent = checkpoint.spent[1]
    figures = {"minutes": args.cpu_minutes, "images": max(0, images), "cpu_s": spent}
    write_atomic(tuned_file(case, args, work), json.dumps(figures | on_test_images(student, model, data)))
    checkpoint.discard()


def tuned_file(case: Case, args: argparse.Namespace, work: Path) -> Path:
    """Return the file that keeps figures of fine-tuning in so many minutes."""
    return case.file(work, f"-tuned-{args.cpu_minutes:g}.json")


def image_seconds(case: Case, model: keras.Model, student: keras.Model, data: Dataset, work: Path) -> float:
    """Return the processor seconds that fine-tuning takes for an image, the same for all strategies of a target."""
    file = work / f"{case.network}-{case.share:g}-image-seconds.json"
    if not file.exists():
        write_atomic(file, json.dumps(tuning_seconds(model, student, data)))
    return float(json.loads(file.read_text()))


def measure(args: argparse.Namespace) -> tuple[Figures, Bars]:
    """Measure every strategy on every network, target and seed, and the blocks."""
    if args.quick:
        args.networks, args.targets, args.strategies, args.seeds = "resnet20", "0.4", "l1,global_l1", 1
        args.images, args.test, args.block_images, args.cpu_minutes = 16, 100, 0, 0.3
    data = load_data(f"cifar10:{args.data / 'cifar-10-batches-py'}")
    data = replace(data, test=data.test.first(args.test))
    with tempfile.TemporaryDirectory() as temporary:
        work = (args.work or Path(temporary)) / f"{args.test}-test-images"
        work.mkdir(exist_ok=True)
        blocks = work / f"blocks-{args.images}-{args.block_images}.json"
        if not args.report:
            for case in planned(args):
                if not case.file(work, ".json").exists():
                    prune(case, data, args, work)
            for case in planned(args):
                if args.cpu_minutes and not tuned_file(case, args, work).exists():
                    tune(case, data, args, work)
            if args.blocks and not blocks.exists():
                write_atomic(blocks, json.dumps(compared_blocks(args.data, data, args.images, args.block_images)))
        rows = kept_rows(work)
        figures = {
            "test_images": args.test,
            "originals": measured_originals(rows, data, args, work),
            "rows": rows,
            "blocks": [row for file in sorted(work.glob("blocks-*.json")) for row in json.loads(file.read_text())],
        }
    return figures, bars_of(figures)


def kept_rows(work: Path) -> list[Figures]:
    """Return the figures of all cases that a folder holds, with those of fine-tuning, in the order of STRATEGIES."""
    rows, order = [], list(STRATEGIES)
    for file in work.glob("*.tflite"):
        name = file.name.removesuffix(".tflite")
        if (kept := work / f"{name}.json").exists():
            tuned = [json.loads(each.read_text()) for each in work.glob(f"{name}-tuned-*.json")]
            rows.append(json.loads(kept.read_text()) | {"tuned": sorted(tuned, key=lambda t: float(t["minutes"]))})
    return sorted(rows, key=lambda r: (r["network"], -r["share"], r["images"], r["seed"], order.index(r["strategy"])))


def measured_originals(rows: Sequence[Figures], data: Dataset, args: argparse.Namespace, work: Path) -> Figures:
    """Return the figures of the original networks, and enter latencies into rows: those of one target in turn."""
    found: Figures = {}
    for network in dict.fromkeys(row["network"] for row in rows):
        model = trained(network, args.data / "weights")
        found[network] = {"accuracy": on_test_images(model, model, data)["accuracy"], "latency_ms": {}}
        original = convert(model)
        for share in dict.fromkeys(row["share"] for row in rows if row["network"] == network):
            own = [row for row in rows if (row["network"], row["share"]) == (network, share)]
            files = [case_of(row).file(work, ".tflite").read_bytes() for row in own]
            whole, *pruned = latencies_ms([original, *files], [data.test.x[:1]])
            found[network]["latency_ms"][f"{share:g}"] = whole
            for row, ms in zip(own, pruned, strict=True):
                row["latency_ms"] = ms
    return found


def case_of(row: Figures) -> Case:
    """Return the case that a row is of."""
    return Case(**{name: row[name] for name in Case.__dataclass_fields__})


def bars_of(figures: Figures) -> Bars:
    """Return the goals: agents beat uniform widths, the default beats L1, fine-tuning comes near the original."""
    bars: Bars = []
    errors = {case_of(row): row["error"] for row in figures["rows"]}
    for network, share in dict.fromkeys((case.network, case.share) for case in errors):
        for name in LEARNED:
            own = [c for c in errors if (c.network, c.share, c.strategy) == (network, share, name)]
            pairs = [(errors[c], errors[u]) for c in own if (u := replace(c, strategy="l1", episodes=None)) in errors]
            if pairs:
                where = f"{network} at {share:g} of the MACs: {name} beats uniform widths, seeds"
                bars.append(bar(where, sum(found < uniform for found, uniform in pairs), len(pairs), "higher"))
    tuned = [t["accuracy"] for row in figures["rows"] if row["network"] == "resnet56" for t in row["tuned"]]
    if tuned:
        lost = 100 * (figures["originals"]["resnet56"]["accuracy"] - max(tuned))
        bars.append(bar("resnet56: points that the best fine-tuned one loses", lost, 1.0))
    for row in figures["blocks"]:
        where = f"{row['block']} at sparsity {row['sparsity']:g}"
        bars.append(
            bar(f"{where}: error of {DEFAULT} / l1's, trained", row["default_trained"] / row["l1_trained"], 1.0)
        )
    return bars


def table(figures: Figures) -> str:
    """Return a row for every strategy, and one for every block."""
    header = ("network", "MACs", "strategy", "seed", "error", "pruned", "tuned", "images", "search s", "ms")
    lines = [
        (
            *(r["network"], f"{r['macs_share']:.3f}", r["strategy"], r["seed"], f"{r['error']:.4f}"),
            f"{r['accuracy']:.2%}",
            *((f"{r['tuned'][-1]['accuracy']:.2%}", f"{r['tuned'][-1]['images']:,}") if r["tuned"] else ("-", "-")),
            *(f"{r['search_cpu_s']:.0f}", f"{r['latency_ms']:.2f}"),
        )
        for r in figures["rows"]
    ]
    kinds = ("l1", "default", "l1_trained", "default_trained")
    blocks = [(r["block"], r["sparsity"], *(f"{r[kind]:.4f}" for kind in kinds)) for r in figures["blocks"]]
    shown = text_table(lines, header)
    return f"{shown}\n\n{text_table(blocks, ('block', 'sparsity', *kinds))}" if blocks else shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is measured."""
    parser.add_argument("--networks", default=",".join(TARGETS), help="names with commas (default: both)")
    parser.add_argument("--targets", help="shares of MACs with commas (default: .4 and .2 of VGG16, .5 of others)")
    parser.add_argument("--strategies", default=",".join(STRATEGIES), help="names with commas (default: all)")
    parser.add_argument("--seeds", type=int, default=1, help="how often each is measured (default: 1)")
    parser.add_argument("--images", type=int, default=250, help="that strategies look at (default: 250)")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="of agents (default: 800)")
    parser.add_argument("--test", type=int, default=2000, help="test images (default: 2000)")
    parser.add_argument(
        "--cpu-minutes", type=float, default=60, help="of search and tuning together, 0: no tuning (60)"
    )
    parser.add_argument("--block-images", type=int, default=12_800, help="that blocks are trained on (default: 12800)")
    parser.add_argument("--no-blocks", dest="blocks", action="store_false", help="leave out the blocks")
    parser.add_argument("--report", action="store_true", help="tell what the work folder holds, and go no further")


if __name__ == "__main__":
    run(
        "strategies",
        __doc__,
        measure,
        folders=("data", "work"),
        packages=("numpy", "keras", "tensorflow"),
        add_arguments=add_arguments,
        table=table,
    )
