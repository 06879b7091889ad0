"""`legodnn pack`: make a store of whole `.tflite` files, which needs no training and no TensorFlow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from legodnn.class_names import REMEDY, read_class_names
from legodnn.commands.own_arrays import names_function, own_arrays
from legodnn.commands.parser import add_pixel_arguments, fraction
from legodnn.console import progress, results_alone
from legodnn.errors import ModelError
from legodnn.files import check_folder
from legodnn.model_names import ONNX, is_function
from legodnn.pixels import Scaling
from legodnn.tensor_spec import ImageFit


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "pack",
        help=summary,
        description="Make a store of one or more whole .tflite files that take and give the same tensors, such as "
        "a model in several sizes. It is profiled, planned and run as any other; plans choose one of the files. The "
        "command runs on devices too: it needs neither Keras nor TensorFlow.",
        epilog="examples:\n"
        "  legodnn pack face.tflite --accuracy .93 --out stores/face\n"
        "  legodnn pack mobilenet_1.0.tflite mobilenet_.25.tflite --accuracy .71,.50 --out stores/scenes\n"
        "  legodnn pack big.tflite int8.tflite --data val.npz --input-range=-1,1 --out stores/scenes\n"
        "  legodnn pack mynets:detector --accuracy .4 --out stores/detector",
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="the .tflite files of one model; or module:function, which gives a PyTorch module with example inputs "
        "(runs it; needs the `torch` extra)",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the folder of the new store; it must not exist")
    parser.add_argument("--name", default="", help="the model's name in the store (default: the folder's name)")
    parser.add_list(
        "--accuracy",
        fraction,
        default=[],
        metavar="A,...",
        help="accuracy of each file, in order; the larger the better",
    )
    parser.add_argument("--metric", metavar="NAME", help="what --accuracy is, such as top1 (default: accuracy)")
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="measure accuracy on this instead: a folder of images (in folders named as --labels), an .npz of x, or "
        "of an array for each input, with labels y, or module:function that gives such arrays; "
        "without labels, agreement with the first file is measured",
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help="names of the classes, one a line")
    add_pixel_arguments(parser, "0,1; uint8 and int8 take pixels as they are")
    parser.add_argument(
        "--fit",
        choices=get_args(ImageFit),
        default="stretch",
        help="how pictures of other proportions are brought to the model's size (default: stretch)",
    )
    parser.add_argument(
        "--fill", type=int, default=0, metavar="0..255", help="value of the margins with --fit letterbox (default: 0)"
    )
    parser.add_argument("--json", action="store_true", help="print the store's summary as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the store, print it, and say what to do next."""
    from legodnn.commands.inspect import show_made
    from legodnn.runtime.whole_models.store_of_files import Described, pack_files

    if args.metric and not args.accuracy:
        raise ModelError("--metric says what --accuracy is; --data is measured by the score that fits its labels")
    described = Described(args.name, _labels(args.labels), _scaling(args), args.fit, args.fill)
    for file in args.files:
        if file.endswith(ONNX):
            raise ModelError(f"{file} is an ONNX file: `legodnn build` and `legodnn compress` take it, not pack")
    out = Path(args.out)
    check_folder(out.parent, "--out")
    own = args.data is not None and names_function(args.data)
    data = own_arrays(args.data) if own else Path(args.data) if args.data is not None else None
    made = {Path(file): _converted(file) for file in args.files if is_function(file)}
    files, metric = [Path(file) for file in args.files], args.metric or "accuracy"
    store = pack_files(files, out, args.accuracy, data, described, metric, progress(), made)
    show_made(store, args.json)
    return 0


def _converted(spec: str) -> bytes:
    """Return the content of the file of a PyTorch module that a function of the user's own gives."""
    from legodnn.blocks.from_torch.module import torch_file

    with results_alone():
        return torch_file(spec)


def _scaling(args: argparse.Namespace) -> Scaling | None:
    """Return what the flags make of pixels; None if none is given."""
    if not (args.input_range or args.input_mean or args.input_std):
        return None
    low_high = args.input_range or [0.0, 1.0]
    if len(low_high) != 2:
        raise ModelError(f"--input-range is two numbers, what 0 and 255 become, not {len(low_high)}")
    return Scaling((low_high[0], low_high[1]), tuple(args.input_mean or ()), tuple(args.input_std or ()))


def _labels(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    labels = read_class_names(path, ModelError)
    if not labels:
        raise ModelError(f"{path} is empty; {REMEDY}")
    return labels
