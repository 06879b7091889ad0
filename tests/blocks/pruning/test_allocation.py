"""Allocators hold their target and leave nothing that they could have kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from legodnn.blocks.channels.analysis import analyse
from legodnn.blocks.importing.macs import macs
from legodnn.blocks.pruning.allocation import (
    Allocator,
    Measure,
    PruningProblem,
    Target,
    global_threshold,
    measured_between,
    pose,
    uniform,
)
from legodnn.blocks.pruning.widths import widths_at
from legodnn.errors import ModelError, TargetError
from tests.blocks.random_graphs import NO_SHRINKING, Ramp, conv, small_model

ALLOCATORS: tuple[Allocator, ...] = (uniform, global_threshold, measured_between)


def chain(*filters: int) -> keras.Model:
    """Convolutions named a, b, c, ... one after another."""
    x = inputs = keras.Input((6, 6, 3))
    for name, n in zip("abcdefgh", filters, strict=False):
        x = conv(n, name=name)(x)
    return keras.Model(inputs, x, name="mine")


def size(model: keras.Model) -> float:
    return float(model.count_params())


def check_allocation(allocator: Allocator, problem: PruningProblem) -> None:
    try:
        widths = allocator(problem)
    except TargetError:
        assert not problem.holds(np.ones_like(problem.full))
        return
    assert widths.dtype == np.int64
    assert (widths >= 1).all()
    assert (widths <= problem.full).all()
    assert problem.holds(widths)
    for group in np.flatnonzero(widths < problem.full):
        assert not problem.holds(widths + np.eye(len(widths), dtype=np.int64)[group])
    assert allocator(problem).tolist() == widths.tolist()


@settings(max_examples=15, phases=NO_SHRINKING)
@given(
    data=st.data(),
    measure=st.sampled_from(["sparsity", "macs", "parameters", "bytes"]),
    share=st.sampled_from([0.1, 0.3, 0.5, 0.8, 0.95]),
)
def test_every_allocator_meets_its_target_and_leaves_no_room_for_another_channel(
    data: st.DataObject, measure: Measure, share: float
) -> None:
    problem = pose(small_model(data.draw), Target(measure, share), loss=size)
    for allocator in ALLOCATORS:
        check_allocation(allocator, problem)


@settings(max_examples=10, phases=NO_SHRINKING)
@given(data=st.data(), sparsity=st.floats(0, 0.99))
def test_uniform_at_a_sparsity_takes_the_same_share_of_every_group(data: st.DataObject, sparsity: float) -> None:
    problem = pose(small_model(data.draw), Target("sparsity", sparsity))
    assert uniform(problem).tolist() == widths_at(problem.channels, sparsity).tolist()


def test_a_global_threshold_takes_more_where_less_matters() -> None:
    block = chain(8, 8, 4)
    problem = pose(block, Target("macs", 0.6), lambda block, channels, x=None: of(channels, a=1.0, b=10.0))
    a, b = global_threshold(problem).tolist()
    assert a < b
    assert macs(problem.pruned(np.array([a, b]))) <= 0.6 * macs(block)


def of(channels: Any, **values: float) -> Any:
    importance = np.zeros(channels.count)
    for name, value in values.items():
        importance[channels.made[name]] = value + np.arange(len(channels.made[name]))
    return importance


def test_a_limit_of_latency_is_held_by_what_was_measured() -> None:
    def latency(widths: Any) -> float:
        return 1.0 + 0.1 * float(widths[0]) + 0.3 * float(widths[1])

    problem = pose(chain(8, 8, 4), Target("latency_ms", limit=2.5), latency=latency, loss=size)
    for allocator in ALLOCATORS:
        check_allocation(allocator, problem)
    with pytest.raises(ModelError, match="pass `latency`"):
        uniform(pose(chain(8, 8, 4), Target("latency_ms", limit=2.5)))


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_an_unreachable_target_says_the_least_and_what_holds_it(allocator: Allocator) -> None:
    inputs = keras.Input((4, 4, 2), name="in")
    x = conv(6, name="wide")(Ramp(name="ramp")(conv(12, name="held")(inputs)))
    block = keras.Model(inputs, layers.LayerNormalization(name="norm")(conv(3, name="last")(x)), name="mine")
    problem = pose(block, Target("parameters", limit=200), loss=size)
    least = problem.costs.of("parameters", np.array([1]))
    with pytest.raises(
        TargetError, match=rf"'mine' cannot be pruned to 200 parameters: .* it has {least}; most is in "
    ) as e:
        allocator(problem)
    assert "held (228: its channels go in and out of the block, or to layers that need them all)" in str(e.value)
    assert "wide (109: what it reads or writes is down to one channel of each group)" in str(e.value)
    with pytest.raises(TargetError, match="cannot be pruned"):
        allocator(pose(block, Target("latency_ms", limit=1), latency=lambda widths: 2.0, loss=size))


def test_an_operation_that_is_not_understood_is_named_with_the_reason() -> None:
    inputs = keras.Input((4, 4, 2))
    block = keras.Model(inputs, layers.EinsumDense("abcd,de->abce", (4, 4, 64), name="odd")(inputs))
    with pytest.raises(TargetError, match=r"odd \(128: EinsumDense is not known to keep channels apart\)"):
        uniform(pose(block, Target("parameters", 0.5)))


@pytest.mark.parametrize(
    ("measure", "share", "limit"),
    [
        ("macs", None, None), ("macs", 0.5, 1.0), ("macs", 0.0, None), ("macs", 1.5, None), ("macs", None, 0.0),
        ("sparsity", 1.0, None), ("sparsity", -0.1, None), ("sparsity", None, 0.5), ("macs", float("nan"), None),
        ("macs", None, float("nan")),
    ],
)  # fmt: skip
def test_a_target_that_makes_no_sense_is_refused(measure: Measure, share: float | None, limit: float | None) -> None:
    with pytest.raises(ModelError):
        Target(measure, share, limit)


def test_a_block_without_channels_to_remove_stays_as_it_is() -> None:
    problem = pose(chain(4), Target("macs", 1.0), loss=size)
    assert not analyse(problem.block).groups
    for allocator in ALLOCATORS:
        assert allocator(problem).tolist() == []
        assert problem.removed(allocator(problem)).tolist() == []


@pytest.mark.parametrize("wanted", [0, 2, 4])
def test_measuring_goes_from_uniform_towards_the_threshold_as_far_as_the_loss_falls(wanted: int) -> None:
    block = chain(16, 16, 4)
    problem = pose(block, Target("macs", 0.6), lambda block, channels, x=None: of(channels, a=1.0, b=100.0))
    ends = [f(problem)[0] for f in (uniform, global_threshold)]
    best = round(ends[0] + wanted / 4 * (ends[1] - ends[0]))
    told = pose(block, problem.target, loss=lambda model: abs(model.get_layer("a").filters - best))
    told = replace(told, importance=problem.importance)
    assert abs(measured_between(told)[0] - best) <= 1
    with pytest.raises(ModelError, match="pass `loss`"):
        measured_between(problem)
