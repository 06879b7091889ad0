"""Figures of very different sizes: those that matter stay exact, and tables beyond any limit are refused at once.

Covers also: runtime.planning.solver.compiled_model, runtime.planning.solver.value_scale.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from legodnn.errors import InfeasibleError, WorkloadError
from legodnn.manifest import Link
from legodnn.runtime.planning.model_table import BlockRows, ModelTable, OptionRow, Streaming
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.planning.solver import frontier
from legodnn.workload import Budget


def block(name: str, *losses: float) -> BlockRows:
    """Options of less and less memory."""
    rows = [OptionRow(f"o{k}", 10 * (len(losses) - k), {1: 1.0}, loss=loss) for k, loss in enumerate(losses)]
    return BlockRows(name, tuple(rows))


@pytest.mark.parametrize("great", [1e3, 1e7, 1e12])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_great_loss_leaves_small_ones_exact(great: float, sign: float) -> None:
    link = Link(x=(0.0, 1e-5), y=(1.0, 0.0))
    table = ModelTable("m", (block("a", 0.0, 5e-6), block("b", 0.0, sign * great)), link=link)
    plan = Scheduler([table]).plan(Budget(memory_bytes=30))
    assert plan["m"].accuracy == pytest.approx(0.5 if sign > 0 else 1.0, abs=1e-9)
    assert Scheduler([table]).plan(Budget(memory_bytes=20))["m"].accuracy == pytest.approx(max(0.0, -sign), abs=1e-9)


def test_a_great_loss_may_be_made_up_for_by_a_great_gain() -> None:
    table = ModelTable("m", (block("a", 0.0, 1e9), block("b", 0.0, -1e9 + 0.25)))
    assert Scheduler([table]).plan(Budget(memory_bytes=20))["m"].accuracy == pytest.approx(0.75, abs=1e-4)


def test_interactions_beyond_the_link_leave_small_losses_exact() -> None:
    second = replace(block("b", 0.0, 0.25), interaction=((0.0, 1e9), (0.0, 0.0)))
    plan = Scheduler([ModelTable("m", (block("a", 0.0, 1e-6), second))]).plan(Budget(memory_bytes=25))
    assert plan["m"].accuracy == pytest.approx(1 - 0.25 - 1e-6, abs=1e-12)


@pytest.mark.parametrize(("y", "said"), [((1e308, -1e308), "1e\\+308"), ((1.0, -1e13), "-10000000000000")])
def test_links_of_absurd_size_are_refused(y: tuple[float, float], said: str) -> None:
    link = Link.model_construct(x=(0.0, 1.0), y=y)
    with pytest.raises(WorkloadError, match=f"m: a value of its link is {said}.*at most 1e\\+12"):
        ModelTable("m", (block("a", 0.0),), link=link)


def test_more_options_than_can_be_numbered_are_refused() -> None:
    """Indices of 16 bits wrapped around beyond 65,536, and another plan was given than the one meant."""
    many = tuple(OptionRow(f"o{k}", 70_000 - k, {1: 1.0}, loss=k / 1e6) for k in range(65_600))
    with pytest.raises(WorkloadError, match="m/a has 65600 options; at most 1024 are planned"):
        ModelTable("m", (BlockRows("a", many),))
    most = ModelTable("m", (BlockRows("a", many[-1024:]),))
    assert Scheduler([most]).plan(Budget(memory_bytes=70_000 - 65_599))["m"].options == {"a": "o65599"}


def test_too_many_models_and_segments_are_refused() -> None:
    table = ModelTable("m", (block("a", 0.0),))
    with pytest.raises(WorkloadError, match="1025 models are too many"):
        Scheduler([replace(table, name=f"m{i}") for i in range(1025)])
    with pytest.raises(WorkloadError, match="4097 segments are too many"):
        ModelTable("m", tuple(block(f"b{i}", 0.0) for i in range(4097)))


def test_noise_is_refused_before_much_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options that trade memory for latency for loss at random: each combination is the best at something."""
    rng = np.random.default_rng(0)
    blocks = []
    for b in range(8):
        shares = rng.dirichlet((1, 1, 1), 10)
        rows = [OptionRow(f"o{k}", int(m * 1e9), {1: t * 10}, loss=x) for k, (m, t, x) in enumerate(shares.tolist())]
        blocks.append(BlockRows(f"b{b}", tuple(rows)))
    table = ModelTable("m", tuple(blocks), link=Link(x=(0.0, 100.0), y=(1.0, 0.0)))
    looked_at, undominated = [], frontier._undominated

    def counted(sums: Any, block: Any, losses: Any, ahead: Any) -> Any:
        looked_at.append(losses.size)
        return undominated(sums, block, losses, ahead)

    monkeypatch.setattr(frontier, "_undominated", counted)
    with pytest.raises(WorkloadError, match="figures are mostly noise"):
        Scheduler([table])
    assert max(looked_at) <= 100_000


@pytest.mark.parametrize("weight", [1.0, 1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("losses", [(0.095, 0.101), (0.0999999, 0.1000001)])
def test_a_least_accuracy_is_held_however_little_a_model_weighs(weight: float, losses: tuple[float, float]) -> None:
    """Beside a model of great weight, the values of all of its options are rounded to one."""
    great = ModelTable("great", (block("a", 0.0),), weight=1e6)
    small = ModelTable("small", (block("b", 0.0, *losses),), weight=weight, min_accuracy=0.9)
    scheduler = Scheduler([great, small])
    assert scheduler.plan(Budget(memory_bytes=39))["small"].options == {"b": "o1"}
    with pytest.raises(InfeasibleError) as caught:
        scheduler.plan(Budget(memory_bytes=29))
    assert caught.value.report.clash[0].needed == 30.0
    assert caught.value.report.nearest is not None


def test_a_streamed_composition_is_not_hidden_by_one_that_is_not_accurate_enough() -> None:
    """A streamed one counts as a millionth less accurate: less than this one, which misses the least accuracy."""
    short = OptionRow("short", 100, {1: 1.0}, loss=0.1000004, streamed_bytes=1000, streamed_ms={1: 2.0})
    enough = OptionRow("enough", 5000, {1: 1.0}, loss=0.0999999, streamed_bytes=200, streamed_ms={1: 2.0})
    streaming = Streaming(0, (200, 1000))
    table = ModelTable("m", (BlockRows("b", (short, enough)),), streaming=streaming, min_accuracy=0.9)
    found = Scheduler([table]).plan(Budget(memory_bytes=300))["m"]
    assert (found.options, found.streamed) == ({"b": "enough"}, True)
