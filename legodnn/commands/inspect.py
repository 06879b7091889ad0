"""`legodnn inspect`: show what is in a store, or how a model would be cut."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legodnn.commands.budget import add_budget_flags, budget_flags
from legodnn.commands.parser import add_model_arguments
from legodnn.console import results_alone, say, text_table
from legodnn.errors import ModelError
from legodnn.files import check_writable, is_folder, write_atomic
from legodnn.manifest import InputSpec
from legodnn.model_names import check_model_name, is_saved_model
from legodnn.savings import original_params, small_model
from legodnn.store import Store
from legodnn.units import size

if TYPE_CHECKING:
    from legodnn.blocks.cutting.extract import Piece
    from legodnn.blocks.inspection import InspectedSegment


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "inspect",
        help=summary,
        description="Show the segments and options of a store (every file is verified), or how a model would "
        "be cut into blocks (needs the `train` extra). Nothing is trained.",
        epilog="examples:\n"
        "  legodnn inspect demo/stores/vgg16\n"
        "  legodnn inspect demo/stores/vgg16 --costs --memory 3MB --draw roofline.svg\n"
        "  legodnn inspect resnet18\n"
        "  legodnn inspect mymodel.keras --draw mymodel.html\n"
        "  legodnn inspect detector.tflite --cut-at raw_boxes,raw_scores",
    )
    parser.add_argument(
        "target",
        help="folder of a store, or a model: a .keras, .h5, .tflite or .onnx file, folder of a SavedModel, "
        "module:function (runs it; gives a Keras model or a PyTorch module), a name in keras.applications, or vgg16, "
        "resnet18, resnet20, resnet56",
    )
    add_model_arguments(parser)
    parser.add_argument(
        "--max-blocks",
        type=int,
        metavar="N",
        help="for a model: cut it into at most N blocks (default: 16, fewer for small models)",
    )
    parser.add_argument(
        "--draw",
        type=Path,
        metavar="FILE",
        help="draw into a .svg or .html file: the blocks and layers of a model, or with --costs the options of a store "
        "under the roof of this device",
    )
    parser.add_argument(
        "--costs",
        action="store_true",
        help="for a profiled store: what its options, and the best plan within the limits below, cost on this device "
        "(memory traffic, multiply-accumulates in a second, share of the device's measured peak; takes seconds)",
    )
    add_budget_flags(parser)
    parser.add_argument(
        "--json", action="store_true", help="print JSON: the manifest of a store, the blocks of a model"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the tables of a store or a model, or their JSON."""
    if is_folder(Path(args.target)) and not is_saved_model(args.target):
        for flag in ("cut_at", "input_shape", "custom", "max_blocks"):
            if getattr(args, flag) is not None:
                raise ModelError(f"{args.target} is a store, and --{flag.replace('_', '-')} is for models")
        if args.draw and not args.costs:
            raise ModelError(
                f"{args.target} is a store, and --draw draws models: name the model it was built from, or add --costs"
            )
        if (flags := budget_flags(args)) and not args.costs:
            raise ModelError(f"{flags[0]} is for the plan whose costs are shown: add --costs")
        store = Store(args.target)
        if args.costs:
            say(_costs(store, args))
        else:
            say(json.dumps(store_summary(store)) if args.json else store_table(store))
    else:
        if flags := ["--costs"] * args.costs + budget_flags(args):
            raise ModelError(f"{args.target} is a model, and {flags[0]} is for stores: build and profile one")
        say(_model(args, args.draw))
    return 0


def _costs(store: Store, args: argparse.Namespace) -> str:
    _check_drawing(args.draw)
    from legodnn.commands.costs import costs_document, costs_table, store_costs

    costs = store_costs(store, args)
    if args.draw:
        from legodnn.commands.roofline_drawing import draw_roofline

        _write_drawing(args.draw, store.name, draw_roofline(costs))
    if args.json:
        return json.dumps(costs_document(costs))
    return costs_table(costs) + (f"\n\ndrawn into {args.draw}" if args.draw else "")


def store_summary(store: Store) -> dict[str, Any]:
    """Return a store's path, id and manifest as plain data."""
    manifest = store.manifest.model_dump(mode="json", by_alias=True)
    return {"path": str(store.path), "id": store.id, "manifest": manifest}


def show_made(store: Store, as_json: bool) -> None:
    """Print a store that was made: its summary as JSON, or its table, where it is, and what to do with it next."""
    if as_json:
        print(json.dumps(store_summary(store)))
    else:
        place = shlex.quote(str(store.path))
        say(f"{store_table(store)}\n\nwrote {store.path}\nnext, on the device: legodnn profile {place}")


def store_table(store: Store) -> str:
    """Return a table of a store's segments and options, and lines about its inputs and its accuracy."""
    rows = [
        (
            s.name if i == 0 else "",
            s.kind if i == 0 else "",
            o.name,
            size(o.bytes),
            f"{o.params:,}",
            f"{o.macs:,}",
            f"{o.loss:.3g}" + (" dominated" if o.dominated else ""),
        )
        for s in store.manifest.segments
        for i, o in enumerate(s.options)
    ]
    accuracy, blocks = store.manifest.accuracy, store.manifest.blocks
    note = small_model(original_params(store.manifest), store.name) if blocks else None
    inputs = "\n".join(input_line(spec) for spec in store.manifest.inputs)
    table = f"{text_table(rows, ('segment', 'kind', 'option', 'file', 'params', 'MACs', 'loss'))}\n\n{inputs}\n"
    if "packed" in store.manifest.built.recipe:
        files = sum(len(s.options) for s in store.manifest.segments)
        measured = f" on {accuracy.data}" if accuracy.samples else ", as given"
        return (
            f"{table}{store.name}: {files} whole file{'s' * (files != 1)}; the best has {accuracy.metric} "
            f"{accuracy.original:.4f}{measured}"
        )
    return (
        f"{table}{store.name}: {len(blocks)} blocks, {store.manifest.compositions:,} compositions; the original's "
        f"{accuracy.metric} is {accuracy.original:.4f} on {accuracy.data}; predictions of a composition's "
        f"{accuracy.metric} are off by {accuracy.error:.4f} on average"
        + (f", of likely plans nine in ten by at most {accuracy.plan_error:.4f}" if accuracy.plan_samples else "")
        + (f"\n{note}" if note else "")
    )


def input_line(spec: InputSpec) -> str:
    """Return a line about one input of a model: its shape and type, and how it is made from pixels."""
    if spec.layout == "plain":
        return f"input {spec.name}: {' x '.join(map(str, spec.shape)) or 'one number'}, {spec.dtype}; no picture"
    steps = [f"pixels 0..255 become {spec.range[0]:g}..{spec.range[1]:g}"]
    for word, values in (("minus mean", spec.mean), ("over std", spec.std)):
        if values:
            steps.append(f"{word} {', '.join(f'{value:g}' for value in values)}")
    shape = " x ".join(map(str, spec.shape))
    steps[-1] += f"; image files are resized {spec.resize}, {spec.fit}"
    return f"input {spec.name}: {shape}, {spec.dtype}; {', '.join(steps)}"


def _model(args: argparse.Namespace, drawing: Path | None) -> str:
    _check_drawing(drawing)
    check_model_name(args.target)
    from legodnn.blocks import inspect

    with results_alone():
        found = inspect(
            args.target,
            args.max_blocks,
            cut_at=args.cut_at or (),
            input_shape=args.input_shape,
            custom=args.custom or (),
        )
    if drawing:
        _draw(drawing, found.name, found.pieces)
    if args.json:
        segments = [_plain(s) for s in found.segments]
        return json.dumps({"model": found.name, "segments": segments, "post_processing": found.post_processing})
    return f"{found}\n\ndrawn into {drawing}" if drawing else str(found)


def _plain(segment: InspectedSegment) -> dict[str, Any]:
    """A segment of a model as plain data."""
    entry = asdict(segment)
    return {"segment": entry.pop("name"), **entry}


def _draw(path: Path, name: str, pieces: Sequence[Piece]) -> None:
    from legodnn.blocks.cutting.draw import draw_model

    _write_drawing(path, name, draw_model(name, pieces))


def _check_drawing(path: Path | None) -> None:
    if path and path.suffix not in (".svg", ".html"):
        raise ModelError(f"cannot draw into {path}: its name must end in .svg or .html")
    if path:
        check_writable(path, "--draw")


def _write_drawing(path: Path, name: str, svg: str) -> None:
    if path.suffix == ".html":
        page = f'<!doctype html><meta charset="utf-8"><title>{escape(name)}</title><body style="margin:0">'
        svg = f'{page}<div style="overflow-x:auto">\n{svg}</div>\n'
    write_atomic(path, svg)
