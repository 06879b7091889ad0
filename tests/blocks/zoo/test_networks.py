"""Networks of six tasks give outputs of the right shapes, have the published sizes, and are cut, pruned and exported.

Covers also: blocks.zoo.trunks, blocks.zoo.segmenters, blocks.zoo.poses, blocks.zoo.detectors, blocks.zoo.anomalies,
blocks.zoo.actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from legodnn.blocks import zoo
from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.importing.macs import macs
from legodnn.errors import ModelError
from legodnn.readings import AnchorBoxes, Anomaly, ClassMap, ClassScores, Coordinates, HeatMaps, Reading
from tests.benchmarks.scripts import load

SMALL = (64, 96, 3)
SQUARE = (64, 64, 3)
FACE = ("eye", "nose", "mouth")
ANCHORS = AnchorBoxes(anchors=(((8.0, 8.0),) * 3,) * 3)

# Every network with few channels, and its outputs as they are read.
NETWORKS: dict[str, tuple[Callable[[], keras.Model], Reading | None]] = {
    "fcn": (lambda: zoo.fcn(1 / 16, SMALL, 5), ClassMap()),
    "deeplabv3": (lambda: zoo.deeplabv3(1 / 16, SMALL, 5), ClassMap()),
    "simple_baseline": (lambda: zoo.simple_baseline(1 / 16, SMALL, 3), HeatMaps(points=FACE)),
    "deeppose": (lambda: zoo.deeppose(1 / 16, SMALL, 3), Coordinates(points=FACE)),
    "yolov3": (lambda: zoo.yolov3(1 / 16, SMALL, 4), ANCHORS),
    "faster_rcnn": (lambda: zoo.faster_rcnn(1 / 16, SQUARE), None),
    "faster_rcnn_proposals": (lambda: zoo.faster_rcnn_proposals(1 / 16, 8, 12), None),
    "faster_rcnn_boxes": (lambda: zoo.faster_rcnn_boxes(1 / 16, 5), None),
    "gpnd": (lambda: zoo.gpnd(1 / 16), Anomaly()),
    "ordinal_regression": (lambda: zoo.ordinal_regression(1 / 16, SMALL), Anomaly()),
    "tsn": (lambda: zoo.tsn(1 / 16, SMALL, 5), ClassScores(frames=8)),
    "trn_frames": (lambda: zoo.trn_frames(1 / 16, SMALL), None),
    "trn_relations": (lambda: zoo.trn_relations(4, 5, 32), None),
}


def some_or_slow(quick: tuple[str, ...]) -> list[Any]:
    """Every network by name; those that take long to make are marked as slow."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in NETWORKS]


@pytest.mark.parametrize("name", some_or_slow(("faster_rcnn_proposals", "faster_rcnn_boxes", "gpnd", "trn_relations")))
def test_outputs_are_of_the_shapes_that_their_reading_takes(name: str) -> None:
    make, reading = NETWORKS[name]
    model = make()
    assert model.name == name
    shapes = [tuple(output.shape[1:]) for output in model.outputs]
    if reading:
        assert reading.problem(shapes, 0) is None
    x = np.random.default_rng(0).random((2, *model.input_shape[1:]), np.float32)
    for output, shape in zip(as_list(model(x, training=False)), shapes, strict=True):
        assert output.shape == (2, *shape)
        assert np.isfinite(keras.ops.convert_to_numpy(output)).all()


@pytest.mark.slow
def test_grids_maps_and_features_have_the_strides_that_are_said() -> None:
    assert [grid.shape[1:3] for grid in NETWORKS["yolov3"][0]().outputs] == [(2, 3), (4, 6), (8, 12)]
    assert [level.shape[1] for level in NETWORKS["faster_rcnn"][0]().outputs] == [16, 8, 4, 2]
    assert NETWORKS["fcn"][0]().output_shape[1:3] == NETWORKS["deeplabv3"][0]().output_shape[1:3] == SMALL[:2]
    assert NETWORKS["simple_baseline"][0]().output_shape[1:3] == (16, 24)


@pytest.mark.slow
def test_a_dilated_trunk_keeps_the_resolution_and_sees_as_far() -> None:
    model = zoo.deeplabv3(1 / 16, SMALL, 5, stride=8)
    for stage, rates in {2: {1}, 3: {1, 2}, 4: {2, 4}}.items():
        found = {layer.dilation_rate[0] for layer in model.layers if layer.name.startswith(f"layer{stage}_")
                 and layer.name.endswith("conv2")}  # fmt: skip
        assert found == rates
    assert model.get_layer("layer4_2_out").output.shape[1:3] == (8, 12)
    assert model.get_layer("aspp_18").dilation_rate == (36, 36)


@pytest.mark.parametrize(("make", "multiple"), [(zoo.fcn, 32), (zoo.deeplabv3, 16), (zoo.yolov3, 32), (zoo.gpnd, 8)])
def test_sides_that_would_not_meet_again_are_refused(make: Callable[..., keras.Model], multiple: int) -> None:
    with pytest.raises(ModelError, match=rf"multiples of {multiple}, not \({multiple}, {multiple + 4}\)"):
        make(1 / 16, (multiple, multiple + 4, 3))


def test_relations_are_of_frames_in_their_order() -> None:
    model, rng = zoo.trn_relations(4, 5, 8), np.random.default_rng(0)
    clip = rng.normal(size=(1, 4, 8)).astype(np.float32)
    found = keras.ops.convert_to_numpy(model(clip))
    assert np.abs(found - keras.ops.convert_to_numpy(model(clip[:, ::-1]))).max() > 1e-3
    relations = [layer.name for layer in model.layers if layer.name.startswith("relate")]
    assert relations == ["relate4", "relate3", "relate2"]


def published(name: str) -> tuple[keras.Model, float, float | None]:
    """A network, and what is published of it: parameters in millions, and billions of multiply-accumulates, if told."""
    return {
        # Of Darknet's own configuration: 65.86 billion operations, two for a multiply-accumulate.
        "yolov3": lambda: (zoo.yolov3(), 61.949, 65.86 / 2),
        "fcn": lambda: (zoo.fcn(), 134.4, None),  # "134 M" in table 1 of Long et al.
        "deeplabv3": lambda: (zoo.deeplabv3(), 39.639, None),  # torchvision's, without the auxiliary head
        "simple_baseline": lambda: (zoo.simple_baseline(), 34.0, None),  # table 2 of Sun et al. 2019
        "deeppose": lambda: (zoo.deeppose(), 25.557 - 2.049 + 0.070, None),  # torchvision's ResNet-50, other outputs
        "tsn": lambda: (zoo.tsn(), 25.557 - 2.049 + 0.820, 4.09),  # likewise
        "faster_rcnn": lambda: (zoo.faster_rcnn(), 41.755 + 0.053 - 0.594 - 14.362, None),  # torchvision's, in parts
        "faster_rcnn_proposals": lambda: (zoo.faster_rcnn_proposals(), 0.594, None),
        "faster_rcnn_boxes": lambda: (zoo.faster_rcnn_boxes(), 14.362, None),
    }[name]()  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["yolov3", "fcn", "deeplabv3", "simple_baseline", "deeppose", "tsn", "faster_rcnn", "faster_rcnn_proposals",
     "faster_rcnn_boxes"],
)  # fmt: skip
def test_full_width_networks_have_the_published_size(name: str) -> None:
    model, millions, billions = published(name)
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trainable / 1e6 == pytest.approx(millions, rel=2e-3)
    if billions:
        assert macs(model) / 1e9 == pytest.approx(billions, rel=1e-2)


@pytest.mark.parametrize("name", some_or_slow(("gpnd",)))
def test_networks_are_cut_pruned_and_exported(name: str) -> None:
    """Composed segments equal the undivided network, as Keras models and as files; pruned ones equal their files."""
    benchmark: Any = load("zoo")
    keras.utils.set_random_seed(0)
    model = NETWORKS[name][0]()
    benchmark.give_statistics(model)
    row = benchmark.examine(model, [0.5, 0.9])
    assert row["composed_difference"] < 1e-4
    assert row["segments_difference"] < 1e-4
    assert row["files_rounding"] < max(1e-4, 4 * row["keras_rounding"])
    for sparsity, pruned in row["pruned"].items():
        assert pruned["difference"] < 1e-4
        assert pruned["macs"] < (1 - 0.4 * float(sparsity) * row["macs_in_blocks"]) * row["macs"]
        assert pruned["operators_added"] == {}
