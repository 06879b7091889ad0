"""What commands take that run or plan a workload: its file or stores, and whether all of its models may be streamed."""

from __future__ import annotations

import argparse

from legodnn.commands.parser import CommandParser
from legodnn.workload import Workload, load_workload


def add_workload_place(parser: CommandParser) -> None:
    """Declare WORKLOAD."""
    parser.add_argument(
        "workload",
        nargs="+",
        metavar="WORKLOAD",
        help="one .toml workload file, the workload.json of a bundle, or folders of stores",
    )


def add_workload(parser: CommandParser) -> None:
    """Declare WORKLOAD and --streaming."""
    add_workload_place(parser)
    parser.add_argument(
        "--streaming",
        action="store_true",
        help="every model may be streamed, that is, run with the weights of one block in memory at a time, where that "
        "buys accuracy; a workload says so of single models by `streaming = true`. Needs `legodnn profile --streaming`",
    )


def workload_from(args: argparse.Namespace) -> Workload:
    """Read the workload that was asked for.

    Raises:
        WorkloadError: see `load_workload`.
    """
    workload = load_workload(args.workload)
    if not args.streaming:
        return workload
    models = tuple(model.model_copy(update={"streaming": True}) for model in workload.models)
    return workload.model_copy(update={"models": models})
