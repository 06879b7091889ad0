"""CIFAR-10: its original files, which are pickles, read without running any code that they hold; or a download."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.graph import on_one_line
from legodnn.errors import DataError

CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_cifar10(folder: Path) -> tuple[Batch, Batch]:
    """Read a folder that holds data_batch_1 to data_batch_5 and test_batch.

    Returns:
        Training and test images, each with labels: pixels of shape (n, 32, 32, 3), and class numbers of shape (n,).

    Raises:
        DataError: a file is missing, damaged, or something else.
    """
    parts = [_read_batch(folder / f"data_batch_{i}") for i in range(1, 6)]
    train = np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
    return train, _read_batch(folder / "test_batch")


def download_cifar10() -> tuple[Batch, Batch]:
    """Return what Keras downloads, or has downloaded before, as `read_cifar10` does, but with labels of shape (n, 1).

    Raises:
        DataError: it cannot be downloaded.
    """
    try:
        found: tuple[Batch, Batch] = keras.datasets.cifar10.load_data()
    except Exception as e:  # Keras reports a failed download by the class Exception itself
        reason = on_one_line(e)
        raise DataError(
            f"cannot download CIFAR-10: {reason}; get its files, and give their folder, cifar10:DIR"
        ) from None
    return found


class _ArraysOnly(pickle.Unpickler):
    """Unpickles the arrays of CIFAR-10's own files, and refuses any other class, since it could run code."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
        if (module, name) not in allowed and name != "_reconstruct":
            raise pickle.UnpicklingError(f"{module}.{name} is not expected in a CIFAR-10 file")
        if name == "_reconstruct":
            return np.ndarray(0).__reduce__()[0]
        return super().find_class(module, name)


def _read_batch(path: Path) -> Batch:
    try:
        with path.open("rb") as f:
            batch = _ArraysOnly(f, encoding="bytes").load()
        images, labels = np.asarray(batch[b"data"]).reshape(-1, 3, 32, 32), np.array(batch[b"labels"], np.int64)
        if images.dtype != np.uint8 or labels.shape != (len(images),):
            raise ValueError(f"{images.dtype} images {images.shape} with labels {labels.shape}")
        return images.transpose(0, 2, 3, 1), labels
    except Exception as e:  # a damaged pickle can raise any
        raise DataError(
            f"{path} is not a CIFAR-10 batch file ({e}); the folder must hold data_batch_1 to 5 and test_batch"
        ) from None
