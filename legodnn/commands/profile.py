"""`legodnn profile`: measure stores on this device, or merge profiles that were measured apart."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legodnn.commands.parser import whole_number
from legodnn.commands.plotting import check_plot
from legodnn.commands.width_profile import profile_widths
from legodnn.console import progress, say, text_table
from legodnn.errors import ConfigError, ProfileError
from legodnn.files import check_writable, is_folder
from legodnn.learned import LEARNED_SUFFIX, Learned, with_learned
from legodnn.profile import Profile, default_path
from legodnn.profile_merge import merge
from legodnn.savings import little_to_save
from legodnn.store import Store
from legodnn.tail import percentile
from legodnn.units import size

if TYPE_CHECKING:
    from legodnn.profiler import Effort

log = logging.getLogger("legodnn.commands")


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "profile",
        help=summary,
        description="Measure latency, memory and load time of every option of one or more stores on this device, "
        "check the predictions against random plans, and write one profile each, by default beside the store as "
        "NAME.profile.json. Several stores are also run beside each other, to learn how they slow each other down. If "
        "it is interrupted, the same command goes on where it was.",
        epilog="examples:\n"
        "  legodnn profile demo/stores/vgg16 demo/stores/resnet18 --threads 1,2\n"
        "  legodnn profile demo/stores/vgg16 --quick\n"
        "  legodnn profile demo/stores/vgg16 --energy watts:3.5 --plot vgg16.svg\n"
        "  legodnn profile --widths board.widths.json\n"
        "  legodnn profile --merge one-thread.json two-threads.json --out demo/stores/vgg16.profile.json",
    )
    parser.add_argument("stores", nargs="*", metavar="STORE", help="folder of a store; with --merge, file of a profile")
    parser.add_list("--threads", whole_number, metavar="N,...", help="numbers of threads to time with (default: 1)")
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="most seconds to spend on timing one store (default: 60; 8 with --quick)",
    )
    parser.add_argument(
        "--precision",
        type=float,
        metavar="P",
        help="stop timing when every median is known to within this fraction (default: .01; .03 with --quick)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        default=None,
        help="take less than half a minute for 50 options, and leave out those that are dominated",
    )
    parser.add_argument(
        "--streaming",
        action="store_true",
        default=None,
        help="also measure what models take that run with the weights of one segment in memory at a time, which a "
        "workload's `streaming = true` lets plans choose",
    )
    parser.add_argument(
        "--compact",
        action="store_true",
        default=None,
        help="also measure compact models, which take less memory and more time: addresses that convolutions read are "
        "made anew in each inference, and not kept. Plans choose them where that buys accuracy",
    )
    parser.add_argument(
        "--energy",
        metavar="METER",
        help="also measure energy: rapl, pmic (Raspberry Pi 5), battery, csv:FILE of an external meter (unix "
        "seconds,watts), or watts:N for an estimate, CPU seconds x N watts",
    )
    parser.add_argument(
        "--merge",
        action="store_true",
        help="measure nothing: put profiles of one store and one device together, and what a governor learned in use "
        "(NAME.learned.json), in the file that --out names",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="file of the profile, for one store (default: NAME.profile.json beside it)"
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="draw latency and memory against sparsity, for one store: .svg, .png or .pdf"
    )
    parser.add_argument(
        "--widths",
        metavar="FILE",
        help="measure no store: time small blocks of 1 to 96 channels, in about a minute, and write FILE for "
        "`legodnn build --widths-table`",
    )
    parser.add_argument("--json", action="store_true", help="print the profiles, or the table of widths, as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure the stores, write their profiles, and print a table of each; or merge profiles."""
    if args.widths:
        check_writable(Path(args.widths), "--widths")
        return profile_widths(args, _effort(args))
    if not args.stores:
        raise ProfileError("give the folders of stores to measure, or --merge and the files of profiles")
    if args.merge:
        return _merge(args)
    if (args.out or args.plot) and len(args.stores) > 1:
        raise ProfileError("--out and --plot name one file, but there are several stores; profile them one by one")
    from legodnn.profiler import profile_store, with_contention
    from legodnn.profiler.measure import PROFILING
    from legodnn.profiler.meters import open_meter
    from legodnn.profiler.profiling_lock import held_alone

    effort = _effort(args)
    meter = open_meter(args.energy) if args.energy is not None else None
    if args.plot:
        check_plot(Path(args.plot), "--plot")
        check_writable(Path(args.plot), "--plot")
    stores = [Store(path) for path in args.stores]
    paths = [Path(args.out) if args.out else default_path(store.path) for store in stores]
    for path in paths:
        check_writable(path, "--out")
    works = [path.with_name(path.name + ".work") for path in paths]
    with ExitStack() as alone:
        for work in works:
            alone.enter_context(held_alone(work, PROFILING))
        profiles = [profile_store(s, effort, meter, work, progress()) for s, work in zip(stores, works, strict=True)]
        if len({store.id for store in stores}) > 1:
            profiles = with_contention(stores, profiles, 1.0 if args.quick else 4.0, progress())
        for profile, path in zip(profiles, paths, strict=True):
            profile.save(path)
        for work in works:  # kept until all profiles are written: an interrupted command goes on with them
            work.unlink(missing_ok=True)
    # Nothing is told before all is written: who reads it may stop at any line, as head does.
    try:
        if args.plot:
            from legodnn.profiler.plot import draw_profile

            draw_profile(stores[0], profiles[0], Path(args.plot))
            log.info("drew %s", args.plot)
    finally:  # a disk that is full does not take the figures along
        if args.json:
            print(json.dumps([p.model_dump(mode="json", by_alias=True) for p in profiles]))
        else:
            _tell(stores, profiles, paths)
    return 0


def _tell(stores: Sequence[Store], profiles: Sequence[Profile], files: Sequence[Path]) -> None:
    """Print what was measured of each store, and what to do next."""
    for store, profile, file in zip(stores, profiles, files, strict=True):
        note = little_to_save(store, profile)
        summary = profile_summary(profile) + (f"\n{note}" if note else "")
        say(f"{profile_table(profile)}\n\n{summary}\nwrote {file}\n")
    say(_next_step(stores, profiles, files))


def _next_step(stores: Sequence[Store], profiles: Sequence[Profile], files: Sequence[Path]) -> str:
    """Return what to do after profiling: to plan, unless the measurements contradict themselves."""
    paths = shlex.join(str(store.path) for store in stores)
    off = max((v.median_error for profile in profiles for v in profile.validation), default=0.0)
    if off <= _BAD_PREDICTIONS:
        if any(file != default_path(store.path) for store, file in zip(stores, files, strict=True)):
            return (
                f"next: a workload file that names {files[0]} as the `profile` of this store, which it is not beside; "
                "then legodnn plan WORKLOAD.toml"
            )
        return f"next: legodnn plan {paths}"
    return (
        f"half of the plans that were tried took {off:.0%} more or less than predicted: something else kept the device "
        f"busy\nnext: legodnn profile {paths} once more while nothing else runs; until then limits of latency may not "
        "hold"
    )


def _effort(args: argparse.Namespace) -> Effort:
    from legodnn.profiler import QUICK, Effort

    given = {
        name: value
        for name in ("seconds", "precision", "streaming", "compact")
        if (value := getattr(args, name)) is not None
    }
    try:
        return replace(QUICK if args.quick else Effort(), threads=tuple(args.threads or (1,)), **given)
    except ConfigError as e:  # its message begins with the name of the attribute, which is also the flag's
        raise ConfigError(f"--{e}") from None


def _merge(args: argparse.Namespace) -> int:
    if not args.out:
        raise ProfileError("--merge needs --out, the file to write")
    measuring = ("threads", "seconds", "precision", "quick", "streaming", "compact", "energy", "plot")
    if given := [f"--{name}" for name in measuring if getattr(args, name) is not None]:
        raise ProfileError(
            f"--merge measures nothing; leave out {', '.join(given)}, or measure a STORE without --merge"
        )
    if folder := next((path for path in args.stores if is_folder(Path(path))), None):
        raise ProfileError(f"{folder} is a folder; --merge takes the files of profiles, such as {default_path(folder)}")
    files = [file for file in args.stores if not file.endswith(LEARNED_SUFFIX)]
    profile = merge([Profile.load(file) for file in files])
    for file in args.stores:
        if file.endswith(LEARNED_SUFFIX):
            profile = with_learned(profile, Learned.load(file))
    check_writable(Path(args.out), "--out")
    profile.save(args.out)
    if args.json:
        print(json.dumps([profile.model_dump(mode="json", by_alias=True)]))
    else:
        say(f"{profile_table(profile)}\n\n{profile_summary(profile)}\nwrote {args.out}")
    return 0


def profile_table(profile: Profile) -> str:
    """Return a profile as a table, with a row for each option and three columns for each number of threads."""
    threads = sorted({entry.threads for o in profile.options for entry in o.latency})
    energy = any(o.energy_mj is not None for o in profile.options)
    header = ["segment", "option", "memory", "load ms", *(["mJ"] if energy else [])]
    for count in threads:
        header += [f"median ms ({count}t)", f"p95 ms ({count}t)", f"first ms ({count}t)"]
    rows = []
    for o in profile.options:
        row = [o.segment, o.option, size(o.memory_bytes), f"{o.load_ms:.2f}"]
        if energy:
            row.append("" if o.energy_mj is None else f"{o.energy_mj:.3g}")
        entries = {entry.threads: entry for entry in o.latency}
        for count in threads:
            entry = entries.get(count)
            row += [f"{v:.4f}" if v is not None else "" for v in (
                (entry.median_ms, entry.p95_ms, entry.first_ms) if entry else (None,) * 3
            )]  # fmt: skip
        rows.append(row)
    device = profile.device
    return f"{profile.model} on {device.cpu}, {device.cores} cores, {device.executor}\n{text_table(rows, header)}"


_BAD_PREDICTIONS = 0.15  # median error of predicted latency, relative; on a quiet device it is .01 to .05
_CONDITIONS = {
    "alone": "alone",
    "after": "after others of its own",
    "periodic": "after pauses",
    "beside": "beside another model",
    "use": "in use",
}


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def profile_summary(profile: Profile) -> str:
    """Return lines about what a profile says beside its options: overhead, predictions, contention, energy."""
    lines = []
    for chain in profile.chain:
        lines.append(f"a chain of segments takes {chain.overhead_ms * 1e3:.1f} µs more ({_threads(chain.threads)})")
    for v in profile.validation:
        lines.append(
            f"predicted against measured latency of {v.plans} random plans, {_threads(v.threads)}: median error "
            f"{v.median_error:.1%}, 95th percentile {v.p95_error:.1%}"
        )
    others = {other.store_id: other.model for other in profile.contention}
    for tail in profile.tail:
        when = _CONDITIONS[tail.condition]
        if tail.other is not None:
            when = f"{tail.condition} {others.get(tail.other, 'another model')}"
        at = ", ".join(f"{percentile(q)} x {s:.2f}" for q, s in zip(tail.quantiles, tail.stretch, strict=True))
        lines.append(f"inferences {when} ({_threads(tail.threads)}) take, over their prediction: {at}")
    if not profile.tail:
        lines.append("no tail is known: limits of latency can only be about medians (--quantile 0.5)")
    if (streamed := profile.streamed) is not None:
        most = max(o.weights_bytes for o in streamed.options)
        lines.append(
            f"streamed it takes {size(streamed.floor_bytes)} and the weights of a segment, {size(most)} at most"
        )
    if (compact := profile.compact) is not None:
        memory = sum(o.memory_bytes for o in compact.options) / max(1, sum(o.memory_bytes for o in profile.options))
        ms = [sum(o.latency[0].median_ms for o in found) for found in (compact.options, profile.options)]
        lines.append(f"compact, its options take {memory:.2f} times the memory and {ms[0] / ms[1]:.2f} times as long")
    for other in profile.contention:
        lines.append(f"beside {other.model} it takes {other.slowdown:.2f} times as long")
    if profile.energy:
        how = "estimated by" if profile.energy.estimate else "measured by"
        lines.append(f"energy {how} {profile.energy.meter}: a switch takes {profile.energy.switch_mj:.3g} mJ")
    if profile.skipped:
        names = ", ".join(f"{s.segment}/{s.option}" for s in profile.skipped[:4])
        more = f" and {len(profile.skipped) - 4} more" if len(profile.skipped) > 4 else ""
        lines.append(f"left out, and never chosen: {names}{more}: {profile.skipped[0].reason}")
    return "\n".join(lines)
