"""A switch is decided as a value: what changes, in which order, and what is loaded beside the old."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from legodnn.plan import ModelPlan
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.switch import ModelChange, in_order, planned_choices
from legodnn.store import Store


def test_a_plan_gives_one_choice_for_every_segment_in_order(tiny_store: Store) -> None:
    plan = ModelPlan(name="tiny", threads=2, options={"block1": "s0.5", "block2": "s0"})
    assert planned_choices(tiny_store, plan) == (
        Choice("block1", "s0.5", 2),
        Choice("block2", "s0", 2),
        Choice("head", "s0", 2),
    )


def test_a_suspended_model_has_no_choices(tiny_store: Store) -> None:
    assert planned_choices(tiny_store, ModelPlan(name="tiny", suspended=True)) == ()


def test_new_are_the_choices_that_did_not_run_before() -> None:
    a, b, c = (Choice(name, "s0", 1) for name in "abc")
    assert ModelChange("m", (a, b), (b, c)).new == (c,)


change = st.builds(
    ModelChange,
    st.sampled_from("abc"),
    st.just(()),
    st.just(()),
    growth=st.integers(-1_000_000, 1_000_000),
    load=st.integers(0, 2_000_000),
)


@given(st.lists(change, min_size=1, max_size=5), st.integers(0, 5_000_000), st.integers(0, 5_000_000))
def test_what_stands_beside_the_old_has_room_to_compose_too(changes: list[ModelChange], used: int, room: int) -> None:
    limit = used + room
    ordered = in_order(changes, used, limit)
    assert [c.growth for c in ordered] == sorted(c.growth for c in changes)
    for c in ordered:
        assert c.beside == (used + c.load + 1_500_000 <= limit)
        used += c.growth


def test_what_stands_beside_the_old_may_fill_the_limit_to_the_last_byte() -> None:
    loads = ModelChange("a", (), (), growth=5, load=100)
    assert [in_order([loads], 1000, limit)[0].beside for limit in (1_501_099, 1_501_100)] == [False, True]


def test_without_a_limit_everything_stands_beside_the_old() -> None:
    assert in_order([ModelChange("a", (), (), 5, 100)], 1000, None) == [ModelChange("a", (), (), 5, 100, True)]
