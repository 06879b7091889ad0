"""What models gave is kept: whole outputs as arrays, or classes as a table."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from legodnn import Budget, Runtime, Store
from legodnn.errors import InputError
from legodnn.manifest import Manifest
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.predictions import Predictions
from legodnn.runtime.feeds.replay import replay

X = np.random.default_rng(0).random((3, 12, 12, 1), np.float32)


def replayed(store: Store, path: Path, budgets: list[Budget], names: tuple[str, ...] = ()) -> list[np.ndarray]:
    inputs = {"tiny": Inputs(X, names=names)}
    with Runtime.open([store.path]) as runtime:
        predictions = Predictions(path, {"tiny": store.manifest}, inputs, len(budgets) > 1)
        replay(runtime, inputs, budgets, keep=predictions.keep)
        predictions.write()
        return [np.asarray(runtime.infer("tiny", x)) for x in X]


def test_an_npz_holds_every_output(tiny_store: Store, tmp_path: Path) -> None:
    expected = replayed(tiny_store, tmp_path / "p.npz", [Budget()])
    with np.load(tmp_path / "p.npz") as kept:
        assert list(kept) == ["tiny/head"]
        np.testing.assert_array_equal(kept["tiny/head"], expected)
    replayed(tiny_store, tmp_path / "q.npz", [Budget(), Budget(latency_ms=1e4)])
    with np.load(tmp_path / "q.npz") as kept:
        assert sorted(kept) == ["1/tiny/head", "2/tiny/head"]


def test_what_was_run_late_stands_at_its_place_and_what_was_not_run_leaves_a_number_out(
    tiny_store: Store, tmp_path: Path
) -> None:
    for numbers, part in (((2, 0, 1), False), ((2, 0), True)):
        inputs, manifests = {"tiny": Inputs(X, names=("a", "b", "c"))}, {"tiny": tiny_store.manifest}
        table, arrays = (Predictions(tmp_path / name, manifests, inputs) for name in ("p.csv", "p.npz"))
        for number in numbers:
            for predictions in (table, arrays):
                predictions.keep(0, "tiny", number, X[number], {"head": np.full(10, number, np.float32)})
        table.write()
        arrays.write()
        with np.load(tmp_path / "p.npz") as kept:
            assert kept["tiny/head"][:, 0].tolist() == sorted(numbers)
            assert ("tiny/#" in kept) == part
            assert not part or kept["tiny/#"].tolist() == sorted(numbers)
        rows = list(csv.DictReader((tmp_path / "p.csv").open()))
        assert [row["input"] for row in rows] == ["abc"[number] for number in sorted(numbers)]


def test_a_csv_holds_the_class_of_every_input(tiny_store: Store, tmp_path: Path) -> None:
    expected = replayed(tiny_store, tmp_path / "p.csv", [Budget()], ("a.png", "cats/b.png", "c.png"))
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    assert [row["input"] for row in rows] == ["a.png", "cats/b.png", "c.png"]
    assert [(row["budget"], row["model"]) for row in rows] == [("1", "tiny")] * 3
    for row, output in zip(rows, expected, strict=True):
        assert (int(row["class"]), row["label"]) == (output.argmax(), str(output.argmax()))  # labels are digits
        assert float(row["score"]) == pytest.approx(float(output.max()), rel=1e-5)


def test_what_a_csv_cannot_hold_is_refused_before_anything_runs(tiny_store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"saved as .npz \(all outputs\) or .csv"):
        Predictions(tmp_path / "p.txt", {}, {})
    document = tiny_store.manifest.model_dump(by_alias=True)
    document["model"]["reading"] = None
    document["tensors"] = tuple(t | {"shape": (4, 4, 3)} if t["name"] == "head" else t for t in document["tensors"])
    with pytest.raises(InputError, match=r"tiny gives \(4, 4, 3\), and a .csv has one class"):
        Predictions(tmp_path / "p.csv", {"tiny": Manifest.model_validate(document)}, {})


def test_names_are_of_a_trace_even_if_a_model_ran_under_one_of_its_budgets(tiny_store: Store, tmp_path: Path) -> None:
    predictions = Predictions(tmp_path / "p.npz", {"tiny": tiny_store.manifest}, {"tiny": Inputs(X[:1])}, several=True)
    predictions.keep(1, "tiny", 0, X[0], {"head": np.zeros(10, np.float32)})
    predictions.write()
    with np.load(tmp_path / "p.npz") as kept:
        assert list(kept) == ["2/tiny/head"]


def test_a_csv_keeps_the_bytes_of_names_and_no_class_for_nan(tiny_store: Store, tmp_path: Path) -> None:
    inputs = {"tiny": Inputs(X, names=(os.fsdecode(b"\xff.png"),))}
    predictions = Predictions(tmp_path / "p.csv", {"tiny": tiny_store.manifest}, inputs)
    predictions.keep(0, "tiny", 0, X[0], {"head": np.full(10, np.nan, np.float32)})
    predictions.write()
    assert (tmp_path / "p.csv").read_bytes().splitlines()[1] == b"1,tiny,\xff.png,,,nan"


def test_coordinates_are_no_classes(tiny_store: Store, tmp_path: Path) -> None:
    document = tiny_store.manifest.model_dump(by_alias=True)
    document["model"].update(labels=(), reading={"kind": "coordinates", "points": tuple("abcde")})
    manifest = Manifest.model_validate(document)
    Predictions(tmp_path / "p.npz", {"tiny": manifest}, {})
    with pytest.raises(InputError, match=r"tiny gives coordinates of points, and a \.csv has classes; save an \.npz"):
        Predictions(tmp_path / "p.csv", {"tiny": manifest}, {})
