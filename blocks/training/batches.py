"""The order in which training sees its images."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Batches:
    """The batches of a training, fixed by a seed; every epoch has an order of its own.

    All batches are of one size, since Keras would compile the training step anew for another shape.

    Attributes:
        images: number of training images.
        size: images in a batch.
        seed: determines the order.
        fill: whether the last batch of an epoch is filled up with the epoch's first images. Otherwise the images that
            do not fill a batch are left out of the epoch.
    """

    images: int
    size: int
    seed: int
    fill: bool = True

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        return -(-self.images // self.size) if self.fill else self.images // self.size

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return which images step number `step` of the training sees, shape (size,)."""
        epoch, i = divmod(step, self.per_epoch)
        order = _order(epoch, self.images, self.per_epoch * self.size, self.seed)
        return order[i * self.size : (i + 1) * self.size]


@functools.lru_cache(maxsize=2)
def _order(epoch: int, images: int, length: int, seed: int) -> NDArray[np.int64]:
    return np.resize(np.random.default_rng([seed, epoch]).permutation(images), length)
