"""`legodnn profile`: measure stores on this device."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from legodnn.console import size, table
from legodnn.errors import ProfileError
from legodnn.profile import Profile, default_path
from legodnn.store import Store


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "profile",
        help="measure every option of a store on this device",
        description="Measure latency and memory of every option of one or more stores on this device, and write one "
        "profile each, by default beside the store as NAME.profile.json.",
        epilog="example:\n  legodnn profile demo/stores/vgg16 demo/stores/resnet18 --threads 1 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stores", nargs="+", metavar="STORE", help="folder of a store")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="thread counts to time (default: 1)")
    parser.add_argument("--rounds", type=int, default=50, help="how often each option is timed (default: 50)")
    parser.add_argument("--out", metavar="FILE", help="where to write the profile (one store only)")
    parser.add_argument("--json", action="store_true", help="print the profiles as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, write, and print one table for each store."""
    from legodnn.profiler import profile_store

    if args.out and len(args.stores) > 1:
        raise ProfileError("--out names one file, but there are several stores; profile them one by one")
    stores = [Store(path) for path in args.stores]
    profiles = []
    for store in stores:
        profile = profile_store(store, tuple(args.threads), args.rounds)
        path = Path(args.out) if args.out else default_path(store.path)
        profile.save(path)
        profiles.append(profile)
        if not args.json:
            print(f"{profile_table(profile)}\n\nwrote {path}\n")
    if args.json:
        print(json.dumps([p.model_dump(mode="json", by_alias=True) for p in profiles]))
    else:
        print(f"next: legodnn plan {' '.join(str(s.path) for s in stores)} --memory 4MB")
    return 0


def profile_table(profile: Profile) -> str:
    """A profile as a table: one line an option, two columns a thread count."""
    threads = [entry.threads for entry in profile.options[0].latency]
    header = ["segment", "option", "memory", "load ms"]
    for count in threads:
        header += [f"median ms ({count}t)", f"p95 ms ({count}t)"]
    rows = []
    for o in profile.options:
        row = [o.segment, o.option, size(o.memory_bytes), f"{o.load_ms:.2f}"]
        for entry in o.latency:
            row += [f"{entry.median_ms:.4f}", f"{entry.p95_ms:.4f}"]
        rows.append(row)
    device = profile.device
    return f"{profile.model} on {device.cpu}, {device.cores} cores, {device.executor}\n{table(rows, header)}"
