"""A model whose options hardly differ on a device is told of, with the figures; others are not."""

from __future__ import annotations

import pytest

from legodnn.manifest import Manifest
from legodnn.profile import Latency, Profile
from legodnn.savings import little_to_save, original_params, savings, small_model
from legodnn.store import Store


def measured(store: Store, profile: Profile, floor_bytes: int, floor_ms: float) -> Profile:
    """A profile in which each option takes a floor, and 100 kB and .1 ms times the share of channels that it has."""
    sparsity = {(s.name, o.name): o.sparsity for s in store.manifest.segments for o in s.options}

    def entry(ms: float) -> Latency:
        return Latency(threads=1, runs=1, min_ms=ms, median_ms=ms, p95_ms=ms)

    options = tuple(
        o.model_copy(
            update={
                "memory_bytes": floor_bytes + round(100_000 * (1 - sparsity[o.segment, o.option])),
                "latency": (entry(floor_ms + 0.1 * (1 - sparsity[o.segment, o.option])),),
            }
        )
        for o in profile.options
    )
    return profile.model_copy(update={"options": options, "chain": ()})


def test_savings_are_the_sums_of_originals_and_of_the_least(tiny_store: Store, profile: Profile) -> None:
    found = savings(tiny_store, measured(tiny_store, profile, 0, 0))
    # Two blocks with a quarter of the channels at least, and a head that stays.
    assert found.memory_bytes == (300_000, 150_000)
    assert found.latency_ms == (pytest.approx(0.3), pytest.approx(0.15))


@pytest.mark.parametrize(
    ("floor_bytes", "floor_ms", "said"),
    [
        (0, 0.0, ()),
        (3_000_000, 0.0, ("memory from 9.3 MB to 9.15 MB",)),
        (0, 1.0, ("latency from 3.3 to 3.15 ms",)),
        (3_000_000, 1.0, ("memory from 9.3 MB to 9.15 MB and latency from 3.3 to 3.15 ms",)),
    ],
)
def test_it_is_said_where_what_is_saved_is_little(
    tiny_store: Store, profile: Profile, floor_bytes: int, floor_ms: float, said: tuple[str, ...]
) -> None:
    note = little_to_save(tiny_store, measured(tiny_store, profile, floor_bytes, floor_ms))
    assert (note is None) == (not said)
    assert all(part in str(note) for part in said)


def test_a_store_without_blocks_has_nothing_to_say(tiny_store: Store, profile: Profile) -> None:
    document = tiny_store.manifest.model_dump(by_alias=True)
    document["segments"] = tuple(
        s | {"kind": "fixed", "options": s["options"][:1], "interaction": ()} for s in document["segments"]
    )
    store = Store(tiny_store.path)
    store.manifest = Manifest.model_validate(document)
    assert little_to_save(store, measured(tiny_store, profile, 3_000_000, 1.0)) is None


def test_few_weights_are_said_before_anything_is_measured(tiny_store: Store) -> None:
    params = original_params(tiny_store.manifest)
    assert params == sum(s.options[0].params for s in tiny_store.manifest.segments)
    assert f"its {params:,} parameters" in str(small_model(params, "tiny"))
    assert small_model(200_000, "tiny") is None


def test_a_workspace_that_options_share_counts_once(tiny_store: Store, profile: Profile) -> None:
    """The least is not what the options take that add least by themselves."""
    figures = {"s0": (1000, 900), "s0.5": (600, 500), "s0.75": (100, 3000)}
    head = tiny_store.manifest.segments[-1].name
    options = tuple(
        o.model_copy(
            update=dict(zip(("own_bytes", "workspace_bytes"), figures[o.option], strict=True))
            if o.segment != head
            else {"own_bytes": 1000, "workspace_bytes": 100}
        )
        for o in profile.options
    )
    found = savings(tiny_store, profile.model_copy(update={"options": options}))
    assert found.memory_bytes == (2 * 1000 + 1000 + 900, 2 * 600 + 1000 + 500)
