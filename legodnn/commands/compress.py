"""`legodnn compress`: one smaller model, or a store whose options are whole smaller models."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from legodnn.commands.parser import add_fields, add_model_arguments, add_pixel_arguments, fraction, precision, variation
from legodnn.compression import CompressionRecipe, CostMeasure, check_compressed_file, compression_recipe
from legodnn.console import progress, results_alone, say, text_table
from legodnn.errors import ModelError
from legodnn.files import check_folder, check_writable, write_atomic
from legodnn.manifest import Precision
from legodnn.model_names import check_model_name
from legodnn.recipe import StrategyName
from legodnn.store import check_new_store
from legodnn.units import size

if TYPE_CHECKING:
    from legodnn.blocks.compression import Compressed

# See `parser.RecipeFlag`.
_FIELDS = (
    ("batch_size", int, "N", "images in a training step (default: 64)"),
    ("patience", int, "N", "stop fine-tuning after N epochs without progress (default: 3)"),
    ("learning_rate", float, "RATE", "of fine-tuning, at the start (default: .001)"),
    ("searched_images", int, "N", "training images that widths are measured, and kernels refitted, on (default: 250)"),
    ("metric", str, "NAME", "top1, top5, binary_accuracy, mean_iou, r2, module:function (default: what fits)"),
    ("seed", int, "N", "seed of everything that is random (default: 0)"),
)


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "compress",
        help=summary,
        description="Prune a whole Keras model to a share of its multiply-accumulates, parameters or bytes, fine-tune "
        "it by distillation (and on labels, where there are some), and write it. With several targets, write a store "
        "of one block whose options are the whole models. If it is interrupted or killed, the same command goes on "
        "where it was; Ctrl-C during a search ends the search alone. Needs the `train` extra.",
        epilog="examples:\n"
        "  legodnn compress mymodel.keras --data images:photos --target macs=0.5 --out small.tflite\n"
        "  legodnn compress resnet56 --weights resnet56.npz --data cifar10:cifar-10-batches-py \\\n"
        "      --target macs=0.5 --strategy amc --out small.keras --report widths.html\n"
        "  legodnn compress mymodel.keras --data images:photos --targets 0.75,0.5,0.25 --out stores/nested\n\n"
        "docs/compress.md says what the strategies do.",
    )
    parser.add_argument(
        "model",
        help="a .keras, .h5, .tflite or .onnx file, folder of a SavedModel, module:function (which gives a "
        "Keras model or a PyTorch module), a name in keras.applications, or "
        "vgg16, resnet18, resnet20, resnet56",
    )
    add_model_arguments(parser)
    add_pixel_arguments(parser)
    parser.add_argument(
        "--target", type=_target, metavar="MEASURE=SHARE", help=f"{', '.join(get_args(CostMeasure))}, such as macs=0.5"
    )
    parser.add_list("--targets", fraction, metavar="S,...", help="shares of the multiply-accumulates; --out is a store")
    parser.add_argument("--out", required=True, metavar="PATH", help="a .tflite or .keras file, or the store's folder")
    parser.add_argument(
        "--strategy",
        choices=get_args(StrategyName),
        metavar="NAME",
        default="exact",
        help=f"which channels go: {', '.join(get_args(StrategyName))} (default: exact)",
    )
    parser.add_argument(
        "--judged-by",
        choices=("outputs", "labels"),
        default="outputs",
        help="what a search measures: the error of outputs, or the metric on labels (default: outputs)",
    )
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="most epochs of fine-tuning (default: 10)")
    parser.add_list(
        "--augment", variation, metavar="HOW,...", help="vary images in fine-tuning: flips (left and right), shifts"
    )
    parser.add_argument(
        "--precision", choices=get_args(Precision), help="of a .tflite file's weights (default: float32)"
    )
    parser.add_list("--precisions", precision, metavar="P,...", help="of the options of a store (default: float32)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="draw the widths into a .svg or .html file")
    add_fields(parser, _FIELDS)
    parser.add_argument(
        "--allow-chance", action="store_true", help="go on even if the original is no better than chance"
    )
    parser.add_argument("--json", action="store_true", help="print the figures, or the store's summary, as JSON")
    parser.set_defaults(run=run, interrupted="what is finished is kept, the same command goes on where it was")


def _target(text: str) -> tuple[str, float]:
    """Read MEASURE=SHARE."""
    measure, _, share = text.partition("=")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if measure not in get_args(CostMeasure) or not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no target; write one of {', '.join(get_args(CostMeasure))} and a share between 0 and 1, such "
            "as macs=0.5"
        )
    return measure, value


def run(args: argparse.Namespace) -> int:
    """Compress, and print the figures before and after."""
    check_model_name(args.model)
    recipe = _recipe(args)
    if args.targets:
        check_folder(Path(args.out).parent, "--out")
        check_new_store(Path(args.out))
        from legodnn.blocks.compressed_store import compress_to_store
        from legodnn.commands.inspect import show_made

        with results_alone():
            store = compress_to_store(recipe, args.out, progress(), args.allow_chance)
        show_made(store, args.json)
        return 0
    check_writable(Path(args.out), "--out")
    check_compressed_file(Path(args.out), args.precision or "float32")
    if args.report:
        check_writable(args.report, "--report")
    from legodnn.blocks.compression import compress

    with results_alone():
        found = compress(recipe, args.out, args.precision or "float32", progress(), args.allow_chance)
    wrote = str(found.path)
    try:
        if args.report:
            _report(args.report, args.model, recipe, found)
            wrote += f" and {args.report}"
    finally:  # what was measured is told, also where the disk is full by now
        if args.json:
            print(json.dumps(_plain(found)))
        else:
            say(f"{_table(found)}\nwrote {wrote}")
    return 0


def _recipe(args: argparse.Namespace) -> CompressionRecipe:
    """Return the recipe of a command line, and refuse flags that do not go together."""
    if bool(args.target) == bool(args.targets):
        raise ModelError("give either --target for one model, such as macs=0.5, or --targets for a store")
    if args.report and args.report.suffix not in (".svg", ".html"):
        raise ModelError(f"cannot draw into {args.report}: its name must end in .svg or .html")
    is_file = Path(args.out).suffix in (".tflite", ".keras")
    if args.targets and is_file:
        raise ModelError(f"--targets makes a store: {args.out} must name a folder; for one file give --target")
    if args.targets and (args.report or args.precision):
        raise ModelError(
            "--report and --precision are of a single model; a store has --precisions, and `legodnn inspect`"
        )
    if args.target and not is_file:
        raise ModelError(f"cannot write a model to {args.out}: its name must end in .tflite or .keras")
    if args.target and args.precisions:
        raise ModelError("--precisions is of a store; a single model has --precision")
    measure, share = args.target or ("macs", None)
    given: dict[str, Any] = {"precisions": ("float32",)}
    given |= {k: v for k, v in vars(args).items() if k in CompressionRecipe.model_fields and v is not None}
    return compression_recipe(
        name="model" if is_file else Path(args.out).name,  # a file holds none
        measure=measure,
        shares=(share,) if args.target else tuple(sorted(args.targets, reverse=True)),
        distill_epochs=args.epochs,
        **given,
    )


def _rows(found: Compressed) -> list[tuple[str, str, str, str]]:
    before, after = found.before, found.after

    def share(name: str) -> str:
        whole = getattr(before, name)
        return f"{getattr(after, name) / whole:.1%}" if whole else "-"

    return [
        (found.metric, f"{before.metric:.4f}", f"{after.metric:.4f}", f"{after.metric - before.metric:+.4f}"),
        ("MACs", f"{before.macs:,}", f"{after.macs:,}", share("macs")),
        ("parameters", f"{before.parameters:,}", f"{after.parameters:,}", share("parameters")),
        ("file", size(before.bytes), size(after.bytes), share("bytes")),
        ("latency, ms", f"{before.latency_ms:.3f}", f"{after.latency_ms:.3f}", share("latency_ms")),
    ]


def _table(found: Compressed) -> str:
    """Return the widths of the layers, and the figures before and after, as text."""
    widths = text_table([(g.label, g.full, g.kept) for g in found.groups], ("channels made by", "before", "after"))
    figures = text_table(_rows(found), ("", "before", "after", "of it"))
    return (
        f"{widths}\n\n{figures}\n\nmeasured on {found.data}; latency on one thread of this machine, as TensorFlow Lite"
    )


def _plain(found: Compressed) -> dict[str, Any]:
    """Return a result as plain data."""
    groups = [{"layers": list(g.layers), "before": g.full, "after": g.kept} for g in found.groups]
    plain: dict[str, Any] = {"path": str(found.path), "metric": found.metric, "data": found.data}
    return {**plain, "before": asdict(found.before), "after": asdict(found.after), "groups": groups}


def _report(path: Path, model: str, recipe: CompressionRecipe, found: Compressed) -> None:
    """Write the picture of widths; in a page the figures stand above it."""
    from legodnn.blocks.pruning.draw_widths import draw_widths

    title = f"{model}: {recipe.strategy}, {recipe.measure}={recipe.shares[0]:g}"
    svg = draw_widths(title, found.groups)
    if path.suffix == ".html":
        svg = (
            f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title>'
            '<body style="font-family:sans-serif;margin:2em">\n'
            f"{_html_table(('', 'before', 'after', 'of it'), _rows(found))}\n<p>{escape(found.data)}</p>\n{svg}"
        )
    write_atomic(path, svg)


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in header)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return '<table cellpadding="6">' + "".join(f"<tr>{line}</tr>\n" for line in lines) + "</table>"
