"""CIFAR-10 is read from its original files, and nothing in these files is run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.blocks.importing.data_sources import load_data
from legodnn.errors import DataError


def batch(seed: int, count: int = 24) -> dict[bytes, Any]:
    """A CIFAR-10 batch as its authors laid it out: 3,072 bytes a row, the red plane first."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count).tolist()
    pixels = rng.integers(0, 256, (count, 3072)).astype(np.uint8)
    return {b"batch_label": b"a batch", b"labels": labels, b"data": pixels, b"filenames": [b"x.png"] * count}


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    for i, name in enumerate(["test_batch", *(f"data_batch_{i}" for i in range(1, 6))]):
        (tmp_path / name).write_bytes(pickle.dumps(batch(i), protocol=2))
    return tmp_path


def test_cifar10_is_read_from_its_original_files(cifar: Path) -> None:
    data = load_data(f"cifar10:{cifar}")
    assert (len(data.train), len(data.val), len(data.test)) == (108, 12, 24)
    assert data.image_shape == (32, 32, 3)
    raw = batch(0)
    np.testing.assert_array_equal(data.test.y, raw[b"labels"])
    red, green, blue = raw[b"data"][5].reshape(3, 32, 32)
    pixels = (data.test.x[5] * data.scaling.std + data.scaling.mean) * 255
    np.testing.assert_allclose(pixels, np.stack([red, green, blue], axis=-1), atol=1e-3)


class Evil:
    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


@pytest.mark.parametrize("call", ["system", "eval", "write"])
def test_a_pickle_with_code_in_it_is_refused_and_not_executed(cifar: Path, tmp_path: Path, call: str) -> None:
    marker = tmp_path / "executed"
    evil = {
        "system": Evil(os.system, f"touch {marker}"),
        "eval": Evil(eval, f"open({str(marker)!r}, 'w')"),
        "write": Evil(Path.touch, marker),
    }[call]
    (cifar / "data_batch_3").write_bytes(pickle.dumps({**batch(3), b"filenames": evil}, protocol=2))
    with pytest.raises(DataError, match="is not expected in a CIFAR-10 file"):
        load_data(f"cifar10:{cifar}")
    assert not marker.exists()


def test_a_missing_batch_is_refused_by_name(cifar: Path) -> None:
    (cifar / "data_batch_4").unlink()
    with pytest.raises(DataError, match=r"data_batch_4 is not a CIFAR-10 batch file .*must hold data_batch_1 to 5"):
        load_data(f"cifar10:{cifar}")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2], protocol=2),
        pickle.dumps({b"labels": [1]}, protocol=2),
        pickle.dumps({**batch(0), b"data": np.zeros((24, 3000), np.uint8)}, protocol=2),
        pickle.dumps({**batch(0), b"data": b"bytes"}, protocol=2),
        pickle.dumps({**batch(0), b"data": np.zeros((24, 3072), np.float64)}, protocol=2),
        pickle.dumps({**batch(0), b"labels": [1] * 23}, protocol=2),
        pickle.dumps({**batch(0), b"labels": ["cat"] * 24}, protocol=2),
    ],
)
def test_a_batch_of_another_form_is_refused(cifar: Path, content: bytes) -> None:
    (cifar / "data_batch_2").write_bytes(content)
    with pytest.raises(DataError, match="data_batch_2 is not a CIFAR-10 batch file"):
        load_data(f"cifar10:{cifar}")


@settings(max_examples=50)
@given(data=st.data())
def test_a_damaged_batch_loads_or_is_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged-cifar"
    folder.mkdir(exist_ok=True)
    content = bytearray(pickle.dumps(batch(0, 2), protocol=2))
    edges = [*range(250), *range(len(content) - 150, len(content))]  # the rest is pixels
    at = data.draw(st.sampled_from(edges))
    content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6))):
        (folder / name).write_bytes(content)
    with pytest.raises(DataError):  # whole ones are too few
        load_data(f"cifar10:{folder}")


@pytest.mark.slow
def test_a_download_that_fails_is_told_in_a_line(tmp_path: Path) -> None:
    code = (
        "from legodnn.blocks.importing.data_sources import load_data\n"
        "from legodnn.errors import DataError\n"
        "try:\n    load_data('cifar10')\n"
        "except DataError as e:\n    print(e)\n"
    )
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = {**os.environ, **nowhere, "KERAS_HOME": str(tmp_path), "no_proxy": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("cannot download CIFAR-10: URL fetch failure on ")
    assert done.stdout.strip().endswith("cifar10:DIR")


@pytest.mark.data
def test_the_real_cifar10_files_are_read() -> None:
    data = load_data(f"cifar10:{Path(os.environ['LEGODNN_DATA']) / 'cifar-10-batches-py'}")
    assert (len(data.train), len(data.val), len(data.test)) == (45_000, 5_000, 10_000)
    np.testing.assert_array_equal(np.asarray(data.test.y)[:5], [3, 8, 8, 0, 6])
    assert keras.ops.shape(data.test.x) == (10_000, 32, 32, 3)
