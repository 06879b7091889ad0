"""`legodnn build`: run the offline stage, which makes a store of a model and data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from legodnn.commands.parser import add_fields, add_model_arguments, add_pixel_arguments, fraction, precision, variation
from legodnn.console import progress, results_alone
from legodnn.files import check_folder
from legodnn.model_names import check_model_name

# See `parser.RecipeFlag`.
_FIELDS = (
    ("train_epochs", int, "N", "train the model first, for this many epochs (default: 0)"),
    ("distill_epochs", int, "N", "most epochs of block-wise distillation (default: 10)"),
    (
        "joint_epochs",
        int,
        "N",
        "epochs in random compositions after that (default: 12; 0 leaves it at the paper's training)",
    ),
    ("patience", int, "N", "stop training a descendant after N epochs without progress (default: 3)"),
    ("batch_size", int, "N", "images in a training step (default: 64)"),
    (
        "strategy",
        str,
        "NAME",
        "how descendants are pruned: l1, taylor, thinet, slimming, soft_clusters and others, see docs/pruning.md "
        "(default: taylor)",
    ),
    (
        "metric",
        str,
        "NAME",
        "top1, top5, binary_accuracy, mean_iou, r2 or module:function (default: the one that fits labels and outputs)",
    ),
    ("max_blocks", int, "N", "join neighbouring blocks beyond this number (default: 16, fewer for small models)"),
    ("seed", int, "N", "seed of everything that is random (default: 0)"),
)


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "build",
        help=summary,
        description="Cut a model into blocks, train pruned descendants of each by block-wise distillation, "
        "quantise and export every option to TensorFlow Lite, and write the store. If the build is interrupted or "
        "killed, the same command goes on where it was. Needs the `train` extra.",
        epilog="examples:\n"
        "  legodnn build vgg16 --width 0.25 --train-epochs 20 --out stores/vgg16\n"
        "  legodnn build resnet20 --weights resnet20.npz --data cifar10:cifar-10-batches-py --out stores/resnet20\n"
        "  legodnn build mymodel.keras --data images:photos --out stores/mymodel\n"
        "  legodnn build detector.tflite --cut-at raw_boxes,raw_scores --data npz:faces.npz --out stores/detector\n"
        "  legodnn build MobileNetV2 --recipe recipe.toml --jobs 2 --out stores/mobilenet\n"
        "  legodnn build mymodel.keras --data images:photos --widths-table board.widths.json --out stores/mymodel\n"
        "  legodnn build MobileNetV2 --recipe recipe.toml --cluster auto --out stores/mobilenet\n\n"
        "A recipe holds what the flags say and more, such as input_fit and min_share; legodnn/recipe.py lists all "
        "fields. A flag takes precedence over the recipe. module:function runs the code of that module, also where a "
        "recipe names it. TF_ENABLE_ONEDNN_OPTS=0 switches TensorFlow's oneDNN kernels off.",
    )
    parser.add_argument(
        "model",
        nargs="?",
        help="a .keras, .h5, .tflite or .onnx file, folder of a SavedModel, module:function (which gives a "
        "Keras model or a PyTorch module), name in keras.applications, or "
        "vgg16, resnet18, resnet20, resnet56; the recipe may name it instead",
    )
    add_model_arguments(parser)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the folder of the new store; it must not exist")
    parser.add_argument("--name", help="the model's name in the store (default: the folder's name)")
    parser.add_argument("--recipe", metavar="FILE", help="TOML file with fields of the recipe")
    add_pixel_arguments(parser)
    add_fields(parser, _FIELDS)
    parser.add_list(
        "--sparsities", fraction, metavar="S,...", help="shares of channels to remove (default: .2,.4,.6,.8,.9)"
    )
    parser.add_list(
        "--precisions",
        precision,
        metavar="P,...",
        help="number formats of the weights of every option (default: float32,float16,int8)",
    )
    parser.add_list(
        "--augment",
        variation,
        metavar="HOW,...",
        help="vary images in training in compositions: flips (left and right), shifts, or both",
    )
    rounding = parser.add_mutually_exclusive_group()
    rounding.add_argument(
        "--round-to",
        type=_count,
        metavar="N",
        help="round numbers of kept channels to multiples of N in layers of at least 4 x N channels, which kernels "
        "compute faster (default: 8; 1 for no rounding)",
    )
    rounding.add_argument(
        "--widths-table",
        metavar="FILE",
        help="round them instead to the steps of a device, as `legodnn profile --widths FILE` measured them",
    )
    parser.add_argument(
        "--mixed-precision", action="store_true", default=None, help="train block by block in bfloat16, on a GPU"
    )
    parser.add_argument(
        "--jobs",
        type=_count,
        metavar="N",
        help="number of jobs that are done at the same time, each by a process (default: 1; with --cluster: as many "
        "as machines, see docs/cluster.md)",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="have the machines of a Ray cluster distil, convert and measure: HOST:PORT of its head, or auto for the "
        "one that this machine is part of. Needs the `cluster` extra; see docs/cluster.md",
    )
    parser.add_argument(
        "--allow-chance", action="store_true", help="go on even if the original is no better than chance"
    )
    parser.add_argument("--tensorboard", metavar="FOLDER", help="write logs of the training for TensorBoard")
    parser.add_argument("--json", action="store_true", help="print the store's summary as JSON")
    parser.set_defaults(run=run, interrupted="what is finished is kept, the same command goes on where it was")


def _count(text: str) -> int:
    """Read a number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Build, print the store, and say what to do next."""
    if args.model is not None:
        check_model_name(args.model)
    from legodnn.commands.inspect import show_made
    from legodnn.recipe import Recipe, resolve
    from legodnn.store import check_new_store
    from legodnn.widths_table import WidthsTable

    given = {k: v for k, v in vars(args).items() if k in Recipe.model_fields and v is not None}
    recipe = resolve(args.recipe, Path(args.out).name, **given)
    if args.widths_table:
        steps = WidthsTable.load(args.widths_table).steps(recipe.precisions)
        recipe = recipe.model_copy(update={"round_to": steps})
    check_folder(Path(args.out).parent, "--out")
    check_new_store(Path(args.out))
    if args.tensorboard:
        check_folder(Path(args.tensorboard), "--tensorboard")
    from legodnn.blocks import build  # loads TensorFlow, so only when the recipe is known to be right

    with results_alone():
        store = build(recipe, args.out, args.jobs, args.tensorboard, args.allow_chance, args.cluster, progress())
    show_made(store, args.json)
    return 0
