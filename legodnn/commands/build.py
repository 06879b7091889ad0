"""`legodnn build`: the offline stage, from a model and data to a store."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from legodnn.errors import ModelError
from legodnn.schema import explain


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "build",
        help="make a store: cut a model into blocks, train pruned descendants, export them",
        description="Cut a Keras model into blocks, train pruned descendants of each by block-wise distillation, "
        "export every option to TensorFlow Lite, and write the store. Needs the `train` extra.",
        epilog="examples:\n"
        "  legodnn build vgg16 --width 0.25 --train-epochs 20 --out stores/vgg16\n"
        "  legodnn build resnet20 --weights resnet20.npz --data cifar10:cifar-10-batches-py --out stores/resnet20\n"
        "  legodnn build mymodel.keras --data images:photos --image-size 96 --out stores/mymodel",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="vgg16, resnet18, resnet20, resnet56, or the path of a .keras file")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the store's folder; must not exist")
    parser.add_argument("--name", help="the model's name in the store (default: the folder's name)")
    parser.add_argument("--data", default="digits", help="digits, cifar10, cifar10:DIR or images:DIR (default: digits)")
    parser.add_argument("--image-size", type=int, help="height and width of digits and image folders (default: 32)")
    parser.add_argument("--width", type=float, help="multiplies the channels of vgg16 ... resnet56 (default: 1)")
    parser.add_argument("--weights", metavar="NPZ", help="published CIFAR ResNet weights for resnet20 or resnet56")
    parser.add_argument("--train-epochs", type=int, help="train the model first, for this many epochs (default: 0)")
    parser.add_argument("--distill-epochs", type=int, help="epochs of block-wise distillation (default: 10)")
    parser.add_argument(
        "--joint-epochs",
        type=int,
        help="epochs of training all blocks together in random compositions (default: 20; 0: the paper's training)",
    )
    parser.add_argument(
        "--sparsities",
        type=float,
        nargs="+",
        metavar="S",
        help="share of channels to remove (default: .2 .4 .6 .8 .9)",
    )
    parser.add_argument("--batch-size", type=int, help="images a training step (default: 64)")
    parser.add_argument("--max-blocks", type=int, help="join neighbouring blocks beyond this number (default: 16)")
    parser.add_argument("--seed", type=int, help="of everything random (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the store's summary as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build, print the store, and say what to do next."""
    from legodnn.blocks.build import Recipe, build
    from legodnn.commands.inspect import store_summary, store_table

    given = {k: v for k, v in vars(args).items() if k in Recipe.model_fields and v is not None}
    given["name"] = args.name or Path(args.out).name
    if args.sparsities:
        given["sparsities"] = tuple(args.sparsities)
    try:
        recipe = Recipe(**given)
    except ValidationError as e:
        raise ModelError(f"the recipe makes no sense: {explain(e)}") from None
    store = build(recipe, args.out)
    if args.json:
        print(json.dumps(store_summary(store)))
    else:
        print(f"{store_table(store)}\n\nwrote {store.path}\nnext, on the device: legodnn profile {store.path}")
    return 0
