"""Where models that others made are cut."""

from __future__ import annotations

import argparse


def add_cut_at(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says it, once for each file."""
    parser.add_argument(
        "--cut-at", action="append", default=[], metavar="FILE=TENSOR,...", help="end the model of a file at tensors"
    )


def places_to_cut(args: argparse.Namespace) -> dict[str, list[str]]:
    """Return the names of tensors by the name of the file."""
    return {name: tensors.split(",") for name, _, tensors in (text.partition("=") for text in args.cut_at)}
