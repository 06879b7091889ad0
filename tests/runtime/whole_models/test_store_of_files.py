"""Whole files become stores that are profiled, planned with and run as any other.

Covers also: runtime.tflite.tensor_specs, runtime.whole_models.agreement, runtime.whole_models.rating,
runtime.whole_models.whole_file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn import Budget, Runtime, Store
from legodnn.errors import InputError, ModelError, WriteError
from legodnn.manifest import TensorSpec
from legodnn.pixels import Scaling
from legodnn.profile import Profile, default_path
from legodnn.profiler import Effort, profile_store
from legodnn.runtime.executors.base import covering_compositions
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.feeds.inputs import read_inputs
from legodnn.runtime.feeds.replay import replay
from legodnn.runtime.whole_models.agreement import input_specs
from legodnn.runtime.whole_models.store_of_files import Described, option_names, pack_files
from legodnn.runtime.whole_models.whole_file import read_whole_file
from tests.runtime.opened import executor_of
from tests.runtime.tflite.detection_files import detector
from tests.runtime.tflite.tflite_files import T, changed, one, options, schema
from tests.runtime.whole_models.whole_files import WIDE, dense_dynamic, dense_float, dense_int8, named, weights

QUICK = Effort(seconds=0.3, processes=1, plans=0)


@pytest.fixture(scope="module")
def switched(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A packed model of two files, float32 and dynamic range, with its profile."""
    folder = tmp_path_factory.mktemp("packed")
    files = [dense_float(folder / "large.tflite"), dense_dynamic(folder / "small.tflite")]
    return profiled(pack_files(files, folder / "store", accuracy=(0.9, 0.8)))


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A packed model of one file, all int8, with its profile."""
    folder = tmp_path_factory.mktemp("packed8")
    return profiled(pack_files([dense_int8(folder / "whole.tflite")], folder / "ints", accuracy=(0.7,)))


def profiled(store: Store) -> Store:
    profile_store(store, QUICK).save(default_path(store.path))
    return store


def test_a_workload_of_a_built_a_float_and_an_int8_model_follows_a_trace(
    tiny_store: Store, switched: Store, integers: Store, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "tiny.npy", rng.random((2, 12, 12, 1), np.float32))
    np.save(tmp_path / "store.npy", rng.normal(size=(2, WIDE)).astype(np.float32))
    np.save(tmp_path / "ints.npy", rng.integers(-128, 128, (2, 16)).astype(np.int8))
    stores = [tiny_store, switched, integers]
    inputs = {s.path.name: read_inputs(tmp_path / f"{s.path.name}.npy", s.manifest.inputs) for s in stores}
    with Runtime.open([s.path for s in stores]) as runtime:
        whole = runtime.plan.memory_bytes
        sizes = {o.option: o.memory_bytes for o in Profile.load(default_path(switched.path)).options}
        assert runtime.plan["store"].options == {"model": "large"}
        limit = whole - (sizes["large"] - sizes["small"]) // 2
        steps = replay(runtime, inputs, [Budget(), Budget(memory_bytes=limit), Budget(memory_bytes=1), Budget()])
        assert [bool(step.refused) for step in steps] == [False, False, True, False]
        assert all(step.models[s.path.name].inferences == 2 for step in steps for s in stores)
        assert steps[1].plan.memory_bytes <= limit < whole


def test_each_option_computes_what_its_file_does(switched: Store, tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=WIDE).astype(np.float32)
    with Runtime.open([switched.path]) as runtime:
        assert runtime.infer("store", x) == pytest.approx(weights() @ x, rel=1e-4, abs=1e-4)
        sizes = {o.option: o.memory_bytes for o in Profile.load(default_path(switched.path)).options}
        assert sizes["small"] < sizes["large"]
        runtime.budget = Budget(memory_bytes=sizes["small"])
        assert runtime.plan["store"].options == {"model": "small"}
        assert runtime.plan["store"].accuracy == pytest.approx(0.8)
        assert np.abs(np.asarray(runtime.infer("store", x)) - weights() @ x).max() < 0.05 * np.abs(weights() @ x).max()


@pytest.mark.parametrize("executor", ["capi", "interpreter"])
def test_integers_go_in_and_come_out_as_the_file_has_them(integers: Store, executor: str, tmp_path: Path) -> None:
    spec = integers.manifest.inputs[0]
    assert (spec.dtype, spec.scale, spec.zero_point, spec.layout) == ("int8", pytest.approx(0.05), 3, "plain")
    assert integers.manifest.segments[0].kind == "fixed"
    assert integers.manifest.segments[0].original.precision == "int8"
    file = open_interpreter(model_path=str(dense_int8(tmp_path / "whole.tflite")))
    opened = executor_of(integers, executor)
    (choices,) = covering_compositions(integers)
    model = opened.compose(choices)
    for seed in range(5):
        x = np.random.default_rng(seed).integers(-128, 128, 16).astype(np.int8)
        file.set_tensor(file.get_input_details()[0]["index"], x[None])
        file.invoke()
        expected = file.get_tensor(file.get_output_details()[0]["index"])[0]
        (found,) = model.run({spec.name: x}).values()
        assert found.dtype == np.int8
        np.testing.assert_array_equal(found, expected)
    opened.close()


def test_an_array_of_another_type_is_refused_with_both_types(integers: Store) -> None:
    with Runtime.open([integers.path], isolated=True) as runtime:
        with pytest.raises(InputError, match=r"takes a int8 array of shape \(16,\) .* got float32 \(16,\)"):
            runtime.infer("ints", np.zeros(16, np.float32))
        assert np.asarray(runtime.infer("ints", np.zeros(16, np.int8))).dtype == np.int8


def test_accuracy_is_measured_on_labelled_data(tmp_path: Path) -> None:
    files = [dense_float(tmp_path / "wrong.tflite", seed=5), dense_float(tmp_path / "right.tflite", seed=6)]
    x = np.random.default_rng(2).normal(size=(30, WIDE)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=(x @ weights(6).T).argmax(axis=1))
    manifest = pack_files(files, tmp_path / "store", data=tmp_path / "data.npz").manifest
    assert (manifest.accuracy.metric, manifest.accuracy.original, manifest.model.task) == ("top1", 1, "classification")
    assert [o.name for o in manifest.segments[0].options] == ["right", "wrong"]  # the most accurate first
    assert manifest.segments[0].options[0].loss == 0 < manifest.segments[0].options[1].loss <= 1


def test_nothing_is_measured_of_nan_or_of_classes_that_a_file_does_not_have(tmp_path: Path) -> None:
    file, labels = dense_float(tmp_path / "file.tflite"), np.zeros(3, np.int64)
    huge = np.full((3, WIDE), 3e38, np.float32) * np.sign(weights(0)[0])  # whose products add up to infinity
    for content, told in (
        ({"x": huge, "y": labels}, "gave NaN or infinity in"),
        ({"x": huge}, "gave NaN or infinity in"),
        ({"x": np.zeros((3, WIDE), np.float32), "y": labels - 1}, "labels of .* run from -1 to -1"),
    ):
        np.savez(tmp_path / "data.npz", **content)
        with pytest.raises(InputError, match=told):
            pack_files([file], tmp_path / "store", data=tmp_path / "data.npz")
    assert not (tmp_path / "store").exists()


def test_without_labels_it_is_the_agreement_with_the_first_file(tmp_path: Path) -> None:
    files = [dense_float(tmp_path / "large.tflite"), dense_dynamic(tmp_path / "small.tflite")]
    np.save(tmp_path / "x.npy", np.random.default_rng(2).normal(size=(30, WIDE)).astype(np.float32))
    manifest = pack_files(files, tmp_path / "store", data=tmp_path / "x.npy").manifest
    assert (manifest.accuracy.metric, manifest.accuracy.original) == ("agreement", 1)
    assert manifest.accuracy.data.endswith("with the outputs of large")
    assert 0 < manifest.segments[0].options[1].loss < 0.01


def test_predictions_are_the_given_accuracies(tmp_path: Path) -> None:
    files = [dense_float(tmp_path / f"{i}.tflite", i) for i in range(3)]
    manifest = pack_files(files, tmp_path / "store", accuracy=(40, 75.5, 60), metric="mAP").manifest
    x, y = manifest.accuracy.link.x, manifest.accuracy.link.y
    predicted = {o.name: float(np.interp(o.loss, x, y)) for o in manifest.segments[0].options}
    assert predicted == {"0": pytest.approx(40), "1": pytest.approx(75.5), "2": pytest.approx(60)}
    assert (manifest.accuracy.metric, manifest.accuracy.original) == ("mAP", 75.5)


def _convolution(path: Path, size: int) -> Path:
    w = np.ones((3, 1, 1, 2), np.float32)
    conv = options("Conv2DOptions", strideW=1, strideH=1, padding=0, dilationWFactor=1, dilationHFactor=1)
    path.write_bytes(one("CONV_2D", [T((1, size, size, 2)), T(w.shape, 0, w), None], [T((1, size, size, 3))], conv))
    return path


def test_files_that_differ_are_refused_with_what_differs(tmp_path: Path) -> None:
    a, b = _convolution(tmp_path / "a.tflite", 4), _convolution(tmp_path / "b.tflite", 5)
    with pytest.raises(ModelError, match=r"b.tflite has the input .*\(5, 5, 2\), .*a.tflite has .*\(4, 4, 2\)"):
        pack_files([a, b], tmp_path / "out", accuracy=(1, 0.5))
    c, d = dense_int8(tmp_path / "c.tflite"), tmp_path / "d.tflite"
    d.write_bytes(one("FULLY_CONNECTED", [T((1, 16)), T((10, 16), 0, weights(0, 10, 16)), None], [T((1, 10))],
                      options("FullyConnectedOptions", weightsFormat=0, keepNumDims=False)))  # fmt: skip
    with pytest.raises(ModelError, match=r"float32 \(16,\), .*int8 \(16,\), scale 0.05, zero point 3"):
        pack_files([c, d], tmp_path / "out", accuracy=(1, 0.5))
    assert not (tmp_path / "out").exists()


def test_names_must_agree_where_there_are_several(tmp_path: Path) -> None:
    def added(names: list[str], file: str) -> Path:
        content = one("ADD", [T((1, 8)), T((1, 8))], [T((1, 8))], options("AddOptions"))
        (tmp_path / file).write_bytes(named(content, names, ["sum"]))
        return tmp_path / file

    a = added(["serving_default_left:0", "right"], "a.tflite")
    store = pack_files([a, added(["left", "serving_default_right:0"], "b.tflite")], tmp_path / "out", accuracy=(1, 1))
    assert [spec.name for spec in store.manifest.inputs] == ["left", "right"]
    with pytest.raises(ModelError, match=r"c\.tflite has the input 'right': .*a\.tflite has 'left'"):
        pack_files([a, added(["right", "left"], "c.tflite")], tmp_path / "other", accuracy=(1, 1))


def test_a_model_with_several_inputs_is_measured_on_arrays_by_name(tmp_path: Path) -> None:
    content = one("ADD", [T((1, 8)), T((1, 8))], [T((1, 8))], options("AddOptions"))
    (tmp_path / "a.tflite").write_bytes(named(content, ["left", "right"], ["sum"]))
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 20, 8)).astype(np.float32)
    np.savez(tmp_path / "d.npz", left=left, right=right, y=left + right)
    manifest = pack_files([tmp_path / "a.tflite"], tmp_path / "out", data=tmp_path / "d.npz").manifest
    assert (manifest.accuracy.metric, manifest.accuracy.original) == ("r2", pytest.approx(1))
    np.savez(tmp_path / "e.npz", left=left, y=left)
    with pytest.raises(InputError, match=r"has no 'right'; give an .npz with the arrays left, right, and perhaps y"):
        pack_files([tmp_path / "a.tflite"], tmp_path / "other", data=tmp_path / "e.npz")


def _custom(model: Any) -> None:
    model.operatorCodes[0].customCode, model.operatorCodes[0].builtinCode = "PosenetDecoderOp", 32


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no model", "damaged or made by something else"),
        (b"", "damaged or made by something else"),
        (changed(lambda m: None)[:-40], "x.tflite cannot be packed: "),
        (changed(_custom), "custom operator 'PosenetDecoderOp'"),
        (one("FULLY_CONNECTED", [T((2, 8)), T((4, 8), 0, weights(0, 4, 8)), None], [T((2, 4))],
             options("FullyConnectedOptions", weightsFormat=0, keepNumDims=False)), "does not begin with a batch of 1"),
        (one("LOGICAL_NOT", [T((1, 3), 6)], [T((1, 3), 6)]), "its input 't0' is of bool"),
    ],
)  # fmt: skip
def test_what_is_not_run_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "x.tflite"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=message) as error:
        pack_files([file], tmp_path / "out", accuracy=(1,))
    assert str(file) in str(error.value)
    assert not (tmp_path / "out").exists()


def test_accuracy_is_given_or_measured(tmp_path: Path) -> None:
    a = dense_float(tmp_path / "a.tflite")
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "how good are the files"),
        ({"accuracy": (1, 2)}, "2 values of accuracy for 1 files"),
        ({"accuracy": (1,), "data": tmp_path}, "either given .* or measured"),
        ({"accuracy": (float("nan"),)}, "a finite number"),
    )
    for arguments, message in cases:
        with pytest.raises(ModelError, match=message):
            pack_files([a], tmp_path / "out", **arguments)
    (tmp_path / "out").mkdir()
    with pytest.raises(WriteError, match="exists"):
        pack_files([a], tmp_path / "out", accuracy=(1,))


def test_options_are_called_as_files(tmp_path: Path) -> None:
    assert option_names([Path("a/big model.tflite"), Path("small.tflite")]) == ["big_model", "small"]
    with pytest.raises(ModelError, match="would have the same name, x"):
        option_names([Path("a/x.tflite"), Path("b/x.tflite")])


def test_files_of_other_origin_lose_what_stores_do_not_have(tmp_path: Path) -> None:
    def annotate(model: Any) -> None:
        note = schema.MetadataT()
        note.name, note.buffer = "min_runtime_version", 0
        model.metadata = [note]
        model.subgraphs[0].tensors[0].shapeSignature = [-1, *model.subgraphs[0].tensors[0].shape[1:]]

    content = changed(annotate)
    (tmp_path / "x.tflite").write_bytes(content)
    found = read_whole_file(tmp_path / "x.tflite")
    assert len(found.content) == len(content)
    assert (found.precision, found.params, found.macs) == ("float32", 9, 4 * 4 * 3 * 2)
    assert found.inputs[0].shape == (4, 4, 2)


def test_pixels_become_all_values_of_integers() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    for dtype, scale, zero in (("uint8", 1 / 128, 128), ("int8", 0.02, -5), ("uint8", 0.0, 0), ("int8", 0.0, 0)):
        tensor = TensorSpec.model_validate(
            {"name": "x", "shape": (16, 16, 1), "dtype": dtype, "scale": scale, "zero_point": zero}
        )
        (spec,) = input_specs([tensor])
        expected = pixels if dtype == "uint8" else (pixels.astype(int) - 128).astype(np.int8)
        np.testing.assert_array_equal(spec.from_pixels(pixels), expected)
    (spec,) = input_specs([TensorSpec(name="x", shape=(16, 16, 1))], Scaling((-1, 1)), "letterbox", 9)
    assert (spec.range, spec.fit, spec.fill) == ((-1, 1), "letterbox", 9)


def test_what_is_said_of_pictures_is_not_passed_over() -> None:
    numbers = [TensorSpec(name="x", shape=(16,))]
    for arguments in ({"scaling": Scaling((-1, 1))}, {"fit": "crop"}):
        with pytest.raises(ModelError, match=r"no input is a picture \(x of \(16,\)\)"):
            input_specs(numbers, **arguments)
    with pytest.raises(ModelError, match="only a letterbox has margins to fill with 9"):
        input_specs([TensorSpec(name="x", shape=(4, 4, 3))], fill=9)


def test_a_packed_store_says_what_it_is_made_of(switched: Store) -> None:
    manifest = json.loads((switched.path / "manifest.json").read_text())
    assert [Path(p).name for p in manifest["built"]["recipe"]["packed"]] == ["large.tflite", "small.tflite"]
    assert [(o["name"], o["precision"]) for o in manifest["segments"][0]["options"]] == [
        ("large", "float32"),
        ("small", "int8"),
    ]


@pytest.mark.parametrize("outputs", [1, 2])
def test_labels_and_names_are_kept(outputs: int, tmp_path: Path) -> None:
    described = Described("face", ("no", "yes"))
    file = dense_int8(tmp_path / "a.tflite", out=outputs)
    manifest = pack_files([file], tmp_path / "out", accuracy=(1,), described=described).manifest
    assert (manifest.model.name, manifest.model.labels) == ("face", ("no", "yes"))


def test_damaged_files_are_refused_or_read_and_nothing_else(tmp_path: Path) -> None:
    rng, file = np.random.default_rng(0), tmp_path / "x.tflite"
    refused: list[str] = []
    seeds = [dense_float(file, 1).read_bytes()[:4000], dense_int8(file).read_bytes(), changed(lambda m: None)]
    for number in range(300):
        content = bytearray(seeds[number % 3])
        for _ in range(rng.integers(1, 6)):
            content[rng.integers(len(content))] = rng.choice((0, 1, 3, 127, 128, 255, int(rng.integers(256))))
        file.write_bytes(content[: rng.integers(len(content))] if number % 7 == 0 else content)
        try:
            found = read_whole_file(file)
        except ModelError as e:
            refused.append(str(e))
        else:
            assert found.inputs
            assert found.outputs
    assert 50 < len(refused) < 300
    assert all(message.startswith(f"{file} cannot be packed: ") and "\n" not in message for message in refused)


@pytest.mark.parametrize("executor", ["capi", "interpreter"])
def test_a_detector_is_packed_and_finds_the_boxes_that_its_file_finds(executor: str, tmp_path: Path) -> None:
    contents = [detector(), detector(use_regular_nms=True, nms_score_threshold=0.7)]
    files = [tmp_path / "fast.tflite", tmp_path / "regular.tflite"]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    store = pack_files(files, tmp_path / "store", accuracy=(0.5, 0.4))
    opened = executor_of(store, executor)
    boxes = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    scores = np.array([[0.0, 0.9, 0.1], [0.0, 0.8, 0.3], [0.0, 0.2, 0.6]], np.float32)
    for choices, content, count in zip(covering_compositions(store), contents, (2, 1), strict=True):
        interpreter = open_interpreter(model_content=content, threads=1)
        for detail, x in zip(interpreter.get_input_details(), (boxes, scores), strict=True):
            interpreter.set_tensor(detail["index"], x[None])
        interpreter.invoke()
        wanted = [np.array(interpreter.get_tensor(detail["index"])[0]) for detail in interpreter.get_output_details()]
        found = list(opened.compose(choices).run({"t0": boxes, "t1": scores}).values())
        assert found[3] == wanted[3] == count
        for y, expected in zip(found[:3], wanted[:3], strict=True):
            np.testing.assert_array_equal(y[:count], expected[:count])
    opened.close()


def test_names_that_are_no_utf8_are_written_as_they_are_shown(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    file, data = dense_float(folder / os.fsdecode(b"\xe9.tflite")), folder / "data.npz"
    np.savez(data, x=np.zeros((3, *read_whole_file(file).inputs[0].shape), np.float32))
    store = pack_files([file], tmp_path / "store", data=data)
    assert store.manifest.built.recipe == {"packed": [rf"{tmp_path}/caf\udce9/\udce9.tflite"]}
    assert r"caf\udce9" in store.manifest.accuracy.data
