"""`legodnn inspect`: what is in a store, or how a model would be cut."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from legodnn.console import size, table
from legodnn.store import Store


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
        "  legodnn inspect mymodel.keras",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", help="folder of a store, a .keras file, or vgg16, resnet18, resnet20, resnet56")
    parser.add_argument(
        "--max-blocks", type=int, default=16, help="for a model: at most this many blocks (default: 16)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: the manifest of a store, the blocks of a model"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    if Path(args.target).is_dir():
        store = Store(args.target)
        print(json.dumps(store_summary(store)) if args.json else store_table(store))
    else:
        print(_model(args.target, args.max_blocks, args.json))
    return 0


def store_summary(store: Store) -> dict[str, Any]:
    """A store's path, id and manifest as plain data."""
    manifest = store.manifest.model_dump(mode="json", by_alias=True)
    return {"path": str(store.path), "id": store.id, "manifest": manifest}


def store_table(store: Store) -> str:
    """A store's segments and options, and what is known of its accuracy."""
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
    return (
        f"{table(rows, ('segment', 'kind', 'option', 'file', 'params', 'MACs', 'loss'))}\n\n"
        f"{store.name}: {len(blocks)} blocks, {store.manifest.compositions:,} compositions; the original's "
        f"{accuracy.metric} is {accuracy.original:.4f} on {accuracy.data}; predictions of a composition's "
        f"{accuracy.metric} are off by {accuracy.error:.4f} on average"
    )


def _model(target: str, max_blocks: int, as_json: bool) -> str:
    from legodnn.blocks.channels import analyse
    from legodnn.blocks.extract import extract
    from legodnn.blocks.graph import macs
    from legodnn.blocks.models import open_model

    model = open_model(target)
    pieces: list[dict[str, Any]] = []
    for p in extract(model, max_blocks):
        channels = analyse(p.model)
        pieces.append(
            {
                "segment": p.name,
                "kind": p.kind,
                "layers": len(p.calls),
                "params": p.model.count_params(),
                "macs": macs(p.model),
                "reads": list(p.inputs),
                "outputs": [list(t.shape[1:]) for t in p.model.outputs],
                "prunable": [str(group) for group in channels.groups] if p.kind == "block" else [],
                "kept_whole": channels.kept_whole,
            }
        )
    if as_json:
        return json.dumps({"model": model.name, "segments": pieces})
    rows = [
        (
            p["segment"],
            p["kind"],
            p["layers"],
            f"{p['params']:,}",
            f"{p['macs']:,}",
            ", ".join("x".join(map(str, shape)) for shape in p["outputs"]),
            "; ".join(p["prunable"]),
        )
        for p in pieces
    ]
    header = ("segment", "kind", "layers", "params", "MACs", "output", "what can be removed")
    kept = [
        f"{p['segment']}: {call} keeps its channels: {why}" for p in pieces for call, why in p["kept_whole"].items()
    ]
    return "\n".join([table(rows, header), *(["", *kept] if kept else [])])
