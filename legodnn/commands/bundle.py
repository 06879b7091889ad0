"""`legodnn bundle`: a workload with its stores and profiles in one folder, for an app."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from legodnn.commands.workload import add_workload_place
from legodnn.console import say
from legodnn.units import size


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "bundle",
        help=summary,
        description="Copy a workload with its stores and profiles into one folder, as an app on Android carries it: "
        "workload.json, stores/ and profiles/. Every store is checked first.",
        epilog="examples:\n"
        "  legodnn bundle workload.toml --out app/src/main/assets/models\n"
        "  legodnn plan app/src/main/assets/models/workload.json --memory 4MB   # what the app would plan",
    )
    add_workload_place(parser)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the new folder; it must not exist")
    parser.add_argument("--json", action="store_true", help="print what was bundled as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the bundle and say what is in it."""
    from legodnn.bundle import WORKLOAD_FILE, write_bundle
    from legodnn.profile import Profile
    from legodnn.store import Store
    from legodnn.workload import load_workload

    out = Path(args.out)
    bundled: list[dict[str, Any]] = []
    for model in write_bundle(load_workload(args.workload), out).models:
        options = [option for segment in Store(model.store).manifest.segments for option in segment.options]
        cpu = Profile.load(model.profile_path).device.cpu
        bundled.append({"name": model.name, "store": model.store, "bytes": sum(o.bytes for o in options), "cpu": cpu})
    if args.json:
        print(json.dumps({"workload": str(out / WORKLOAD_FILE), "models": bundled}))
    else:
        lines = [f"{m['name']}: {m['store']}, {size(m['bytes'])}, profiled on {m['cpu']}" for m in bundled]
        say("\n".join([*lines, "", f"wrote {out / WORKLOAD_FILE}", "in an app: Assets.workload (docs/android.md)"]))
    return 0
