"""Every epoch sees the images in an order of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from legodnn.blocks.training.batches import Batches

some_batches = st.builds(
    Batches, images=st.integers(1, 40), size=st.integers(1, 17), seed=st.integers(0, 9), fill=st.just(True)
)


def epoch_of(batches: Batches, epoch: int) -> list[np.ndarray]:
    return [batches.indices(epoch * batches.per_epoch + i) for i in range(batches.per_epoch)]


@given(batches=some_batches, epoch=st.integers(0, 3))
def test_every_epoch_sees_every_image_in_batches_of_one_size(batches: Batches, epoch: int) -> None:
    found = epoch_of(batches, epoch)
    assert {len(batch) for batch in found} == {batches.size}
    seen = np.concatenate(found)
    assert sorted(seen[: batches.images]) == list(range(batches.images))
    assert set(seen) == set(range(batches.images))


@given(batches=some_batches, epoch=st.integers(0, 3))
def test_an_epoch_that_is_not_filled_up_leaves_out_what_makes_no_batch(batches: Batches, epoch: int) -> None:
    whole, cut = epoch_of(batches, epoch), epoch_of(replace(batches, fill=False), epoch)
    assert len(cut) == batches.images // batches.size
    for a, b in zip(cut, whole, strict=False):  # in the same order
        assert a.tolist() == b.tolist()


def test_every_epoch_has_an_order_of_its_own_fixed_by_the_seed() -> None:
    orders = [Batches(100, 100, seed).indices(step).tolist() for step, seed in ((0, 1), (1, 1), (0, 2))]
    assert orders[0] == Batches(100, 100, 1).indices(0).tolist()
    assert len({tuple(order) for order in orders}) == 3
