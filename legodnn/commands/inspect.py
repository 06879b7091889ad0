"""`legodnn inspect`: show what is in a store, or how a model would be cut."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legodnn.console import say, text_table
from legodnn.errors import ModelError
from legodnn.files import is_folder, write_atomic
from legodnn.manifest import InputSpec
from legodnn.model_names import check_model_name
from legodnn.store import Store
from legodnn.units import size

if TYPE_CHECKING:
    from legodnn.blocks.cutting.extract import Piece


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "inspect",
        help="show the blocks of a store or of a Keras model",
        description="Show the segments and options of a store (every file is verified), or how a Keras model would "
        "be cut into blocks (needs the `train` extra).",
        epilog="examples:\n"
        "  legodnn inspect demo/stores/vgg16\n"
        "  legodnn inspect resnet18\n"
        "  legodnn inspect mymodel.keras --draw mymodel.html",
    )
    parser.add_argument(
        "target",
        help="folder of a store, or a model: a .keras or .h5 file, module:function (runs it), a name in "
        "keras.applications, or vgg16, resnet18, resnet20, resnet56",
    )
    parser.add_argument(
        "--max-blocks",
        type=int,
        default=16,
        metavar="N",
        help="for a model: cut it into at most N blocks (default: 16)",
    )
    parser.add_argument(
        "--draw", type=Path, metavar="FILE", help="for a model: draw its blocks and layers into a .svg or .html file"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: the manifest of a store, the blocks of a model"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the tables of a store or a model, or their JSON."""
    if is_folder(Path(args.target)):
        if args.draw:
            raise ModelError(f"{args.target} is a store, and --draw draws models: name the model it was built from")
        store = Store(args.target)
        say(json.dumps(store_summary(store)) if args.json else store_table(store))
    else:
        say(_model(args.target, args.max_blocks, args.draw, args.json))
    return 0


def store_summary(store: Store) -> dict[str, Any]:
    """Return a store's path, id and manifest as plain data."""
    manifest = store.manifest.model_dump(mode="json", by_alias=True)
    return {"path": str(store.path), "id": store.id, "manifest": manifest}


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
    inputs = "\n".join(input_line(spec) for spec in store.manifest.inputs)
    return (
        f"{text_table(rows, ('segment', 'kind', 'option', 'file', 'params', 'MACs', 'loss'))}\n\n{inputs}\n"
        f"{store.name}: {len(blocks)} blocks, {store.manifest.compositions:,} compositions; the original's "
        f"{accuracy.metric} is {accuracy.original:.4f} on {accuracy.data}; predictions of a composition's "
        f"{accuracy.metric} are off by {accuracy.error:.4f} on average"
        + (f", of likely plans nine in ten by at most {accuracy.plan_error:.4f}" if accuracy.plan_samples else "")
    )


def input_line(spec: InputSpec) -> str:
    """Return a line about one input of a model: its shape, and how it is made from pixels."""
    steps = [f"pixels 0..255 become {spec.range[0]:g}..{spec.range[1]:g}"]
    for word, values in (("minus mean", spec.mean), ("over std", spec.std)):
        if values:
            steps.append(f"{word} {', '.join(f'{value:g}' for value in values)}")
    shape = " x ".join(map(str, spec.shape))
    return f"input {spec.name}: {shape}, {spec.dtype}; {', '.join(steps)}; image files are resized {spec.resize}"


def _model(target: str, max_blocks: int, drawing: Path | None, as_json: bool) -> str:
    if drawing and drawing.suffix not in (".svg", ".html"):
        raise ModelError(f"cannot draw into {drawing}: its name must end in .svg or .html")
    check_model_name(target)
    from legodnn.blocks.cutting.extract import extract
    from legodnn.blocks.importing.models import open_model

    model = open_model(target)
    pieces = extract(model, max_blocks)
    if drawing:
        _draw(drawing, model.name, pieces)
    segments = [_summary(piece) for piece in pieces]
    if as_json:
        return json.dumps({"model": model.name, "segments": segments})
    return _segments_table(segments) + (f"\n\ndrawn into {drawing}" if drawing else "")


def _draw(path: Path, name: str, pieces: Sequence[Piece]) -> None:
    from legodnn.blocks.cutting.draw import draw_model

    svg = draw_model(name, pieces)
    if path.suffix == ".html":
        page = f'<!doctype html><meta charset="utf-8"><title>{escape(name)}</title><body style="margin:0">'
        svg = f'{page}<div style="overflow-x:auto">\n{svg}</div>\n'
    write_atomic(path, svg)


def _summary(piece: Piece) -> dict[str, Any]:
    """Return a segment of a model as plain data."""
    from legodnn.blocks.channels.analysis import analyse
    from legodnn.blocks.importing.graph import macs

    channels = analyse(piece.model)
    return {
        "segment": piece.name,
        "kind": piece.kind,
        "layers": len(piece.calls),
        "params": piece.model.count_params(),
        "macs": macs(piece.model),
        "reads": list(piece.inputs),
        "outputs": [list(t.shape[1:]) for t in piece.model.outputs],
        "prunable": [str(group) for group in channels.groups] if piece.kind == "block" else [],
        "kept_whole": channels.kept_whole,
    }


def _segments_table(segments: Sequence[dict[str, Any]]) -> str:
    """Return a table with a row for each segment, a line with the totals, and lines about channels that are kept."""
    params, macs = (sum(s[key] for s in segments) for key in ("params", "macs"))
    rows = [
        (
            s["segment"],
            s["kind"],
            s["layers"],
            f"{s['params']:,}",
            f"{s['params'] / max(params, 1):.1%}",
            f"{s['macs']:,}",
            f"{s['macs'] / max(macs, 1):.1%}",
            ", ".join("x".join(map(str, shape)) for shape in s["outputs"]),
            "; ".join(s["prunable"]),
        )
        for s in segments
    ]
    blocks = [s for s in segments if s["kind"] == "block"]
    in_blocks, macs_in_blocks = (sum(s[key] for s in blocks) for key in ("params", "macs"))
    header = ("segment", "kind", "layers", "params", "share", "MACs", "share", "output", "what can be removed")
    total = (
        f"{len(blocks)} blocks hold {in_blocks / max(params, 1):.1%} of {params:,} parameters and "
        f"{macs_in_blocks / max(macs, 1):.1%} of {macs:,} multiply-accumulates"
    )
    kept = [
        f"{s['segment']}: {call} keeps its channels: {why}" for s in segments for call, why in s["kept_whole"].items()
    ]
    return "\n".join([text_table(rows, header), "", total, *(["", *kept] if kept else [])])
