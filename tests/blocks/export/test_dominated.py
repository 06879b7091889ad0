"""Options that no device needs are marked, never lost, and never without another one that does as well."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.export.options import mark_dominated
from legodnn.manifest import Option, Precision

# Few values, so that ties are frequent.
costs = st.tuples(
    st.sampled_from(["float32", "float16", "int8"]),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.1, 0.2]),
)


def option(number: int, precision: Precision, size: int, macs: int, loss: float) -> Option:
    return Option(
        name=f"o{number}",
        sparsity=number / 100,
        precision=precision,
        file=f"{number}.tflite",
        sha256="0" * 64,
        bytes=size,
        params=0,
        macs=macs,
        loss=loss,
    )


def dominated(options: list[Option]) -> list[bool]:
    return [o.dominated for o in mark_dominated(options, [o.loss for o in options])]


def does_as_well(a: Option, b: Option) -> bool:
    """Nowhere worse: size, work, kind of arithmetic, loss."""
    arithmetic = a.precision == "int8" or b.precision != "int8"
    return a.bytes <= b.bytes and a.macs <= b.macs and a.loss <= b.loss and arithmetic


@given(st.tuples(st.integers(1, 4), st.integers(0, 3)), st.lists(costs, max_size=8))
def test_every_marked_option_has_an_unmarked_one_that_does_as_well_and_no_unmarked_one_is_spare(
    original: tuple[int, int], others: list[tuple[Precision, int, int, float]]
) -> None:
    options = [option(0, "float32", *original, 0.0), *(option(i, *o) for i, o in enumerate(others, start=1))]
    marked = mark_dominated(options, [o.loss for o in options])
    assert [o.model_copy(update={"dominated": False}) for o in marked] == options
    assert not marked[0].dominated
    kept = [o for o in marked if not o.dominated]
    for o in marked:
        if o.dominated:
            assert any(does_as_well(k, o) for k in kept)
    for o in kept[1:]:
        assert not any(does_as_well(k, o) for k in kept if k is not o)


def test_of_equals_the_first_is_kept_and_the_original_though_it_is_beaten() -> None:
    options = [option(0, "float32", 9, 9, 0.0), option(1, "int8", 5, 5, 0.0), option(2, "int8", 5, 5, 0.0)]
    assert dominated(options) == [False, False, True]


def test_what_options_lose_beside_their_neighbours_counts() -> None:
    options = [option(0, "float32", 9, 9, 0.0), option(1, "int8", 5, 5, 0.1), option(2, "int8", 5, 5, 0.2)]
    assert dominated(options) == [False, False, True]
    assert [o.dominated for o in mark_dominated(options, [0.0, 0.2, 0.1])] == [False, True, False]


def test_float_arithmetic_that_is_smaller_does_not_replace_int8() -> None:
    options = [option(0, "float32", 9, 9, 0.0), option(1, "int8", 5, 5, 0.1), option(2, "float32", 4, 4, 0.0)]
    assert dominated(options) == [False, False, False]
    turned = [options[0], options[2], options[1].model_copy(update={"precision": "float16"})]
    assert dominated(turned) == [False, False, True]
