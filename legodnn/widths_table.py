"""How long a device takes for blocks of 1, 2, 3 ... channels, and from that the widths that its kernels like.

Kernels compute a tile of channels at a time (4, 8, 16 or 32, by processor and precision), so latency rises in steps:
with tiles of 16, 17 channels cost as much as 32. A width at the edge of a step uses its last tile fully. `legodnn
profile --widths` measures the table, `legodnn build --widths-table` rounds the widths of descendants to its steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field, model_validator
from typing_extensions import Self

from legodnn.arrays import Floats
from legodnn.errors import ProfileError
from legodnn.files import write_atomic
from legodnn.manifest import Precision
from legodnn.profile import Conditions, Fingerprint
from legodnn.schema import Many, Milliseconds, Schema, Text, Threads, read_document, to_json

WIDTHS_VERSION = "legodnn.widths/1"
_REMEDY = "measure again with `legodnn profile --widths`"
_MOST_WIDTHS = 4096

# The blocks that are timed: two 3x3 convolutions; two 1x1 convolutions; two 1x1 convolutions with a depthwise one
# between them. The width is the number of channels between the layers.
LayerKind = Literal["conv", "pointwise", "depthwise"]
LAYER_KINDS: tuple[LayerKind, ...] = get_args(LayerKind)
# A step is at least as high as this many channels cost on average. Tiles have a multiple of so many channels.
_STEP, _TILE = 3.0, 4

Width = Annotated[int, Field(gt=0, le=1 << 20)]
Steps = Annotated[Many[Width], Field(max_length=_MOST_WIDTHS)]


class WidthSteps(Schema):
    """For each kind of layers the numbers of channels that are worth having, in increasing order; empty for any.

    Beyond the last one they go on at the distance of the last two (or of the only one from 0).
    """

    conv: Steps = ()
    pointwise: Steps = ()
    depthwise: Steps = ()

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        for kind in LAYER_KINDS:
            if any(b <= a for a, b in pairwise(self.of(kind))):
                raise ValueError(f"{kind}: widths must increase")
        return self

    def of(self, kind: LayerKind) -> tuple[int, ...]:
        """Return the widths of a kind."""
        steps: tuple[int, ...] = getattr(self, kind)
        return steps

    def up_to(self, kind: LayerKind, channels: int) -> tuple[int, ...]:
        """Return the widths of a kind that are at most a number of channels.

        >>> WidthSteps(conv=(16, 32, 64)).up_to("conv", 140)
        (16, 32, 64, 96, 128)
        """
        steps = self.of(kind)
        if not steps:
            return ()
        distance = steps[-1] - (steps[-2] if len(steps) > 1 else 0)
        beyond = range(steps[-1] + distance, channels + 1, distance)
        return (*(step for step in steps if step <= channels), *beyond)


ProbedPrecision = Literal["float32", "int8"]  # float16 weights are computed with in float32


class WidthCurve(Schema):
    """The least latency of the block of one kind and precision with 1, 2, 3 ... channels inside.

    It is the least of many runs, because whatever disturbs a run adds to it, and hides the steps.
    """

    kind: LayerKind
    precision: ProbedPrecision
    least_ms: Many[Milliseconds] = Field(min_length=3, max_length=_MOST_WIDTHS)


class WidthsTable(Schema):
    """What a device takes for blocks of given widths.

    Attributes:
        device: what it was measured on.
        created: when, in UTC.
        threads: threads that ran the blocks.
        image_size: height and width of the images in pixels.
        outer: the number of channels that the blocks read and write.
        curves: one for each kind and precision.
        conditions: the conditions of the measurement.
    """

    schema_: Literal["legodnn.widths/1"] = Field(default="legodnn.widths/1", alias="schema")
    device: Fingerprint
    created: Text
    threads: Threads
    image_size: Width
    outer: Width
    curves: Many[WidthCurve] = Field(min_length=1, max_length=100)
    conditions: Conditions | None = None

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        keys = [(curve.kind, curve.precision) for curve in self.curves]
        if len(set(keys)) < len(keys):
            raise ValueError("two curves for one kind and precision")
        return self

    @classmethod
    def load(cls, path: str | Path) -> WidthsTable:
        """Read a table. ProfileError if it is damaged or has another version."""
        return read_document(Path(path), cls, WIDTHS_VERSION, ProfileError, _REMEDY)

    def save(self, path: str | Path) -> None:
        """Write the table atomically."""
        write_atomic(Path(path), to_json(self))

    def steps(self, precisions: Sequence[Precision]) -> WidthSteps:
        """Return the edges of the steps that blocks have, all these precisions taken together.

        Raises:
            ProfileError: the table has no curve for one of the precisions.
        """
        found = {}
        wanted: list[ProbedPrecision] = ["float32"] if set(precisions) - {"int8"} else []
        wanted += ["int8"] if "int8" in precisions else []
        for kind in LAYER_KINDS:
            curves = {curve.precision: curve.least_ms for curve in self.curves if curve.kind == kind}
            if missing := [p for p in wanted if p not in curves]:
                raise ProfileError(f"the table has no latencies of {kind} in {missing[0]}; {_REMEDY}")
            found[kind] = step_edges([curves[p] for p in wanted])
        return WidthSteps(**found)


def step_edges(curves: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Return the widths at the edges of the steps that latency rises in.

    At every fourth width the mean of the next four latencies is compared with that of the last four; what they differ
    by beyond the steady rise between steps is the height of a step there. It is taken in units of what a channel costs
    on average, and averaged over the curves.

    Args:
        curves: the latencies of widths 1, 2, 3 ..., one sequence for each precision.

    Example: tiles of eight channels.
        >>> step_edges([[1.0] * 8 + [2.1] + [2.0] * 7 + [3.0] * 8])
        (8, 16)
    """
    height = np.mean([_step_heights(curve) for curve in curves], axis=0)
    return tuple(_TILE * (i + 1) for i in np.flatnonzero(height >= _STEP).tolist())


def _step_heights(curve: Sequence[float]) -> Floats:
    """Return for each multiple of `_TILE` channels the height of a step beyond it, in average channels."""
    # A narrower block is never slower than a wider one: what looks so was disturbed.
    ms = np.minimum.accumulate(np.array(curve, np.float64)[::-1])[::-1]
    rise, steady = (ms[-1] - ms[0]) / (len(ms) - 1), float(np.median(np.diff(ms)))
    tiles = ms[: len(ms) // _TILE * _TILE].reshape(-1, _TILE).mean(axis=1)
    heights: Floats = np.diff(tiles) - _TILE * steady
    return heights / rise if rise > 0 else np.zeros(len(heights))
