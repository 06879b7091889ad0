"""Networks of keras-hub are cut, pruned and exported from their saved files, as users have them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from legodnn.blocks.cutting.extract import check_composed, extract
from legodnn.blocks.export.convert import check_convertible
from legodnn.blocks.importing.models import open_model
from legodnn.blocks.pruning.prune import descendant

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")


def resnet18() -> keras.Model:
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 128, 128],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(96, 96, 3),
    )


def classifier() -> keras.Model:
    return keras_hub.models.ResNetImageClassifier(backbone=resnet18(), num_classes=10)


def segmenter() -> keras.Model:
    backbone = keras_hub.models.DeepLabV3Backbone(
        image_encoder=resnet18(),
        spatial_pyramid_pooling_key="P4",
        low_level_feature_key="P2",
        upsampling_size=4,
        dilation_rates=[6, 12, 18],
        projection_filters=16,
        spatial_pyramid_pooling_filters=32,
        image_shape=(96, 96, 3),
    )
    return keras_hub.models.DeepLabV3ImageSegmenter(backbone=backbone, num_classes=11)


def detector() -> keras.Model:
    pyramid = keras_hub.models.RetinaNetBackbone(
        image_encoder=resnet18(), min_level=3, max_level=5, use_p5=False, image_shape=(96, 96, 3)
    )
    anchors = keras_hub.layers.AnchorGenerator("xyxy", 3, 5, num_scales=3, aspect_ratios=[0.5, 1, 2], anchor_size=4.0)
    encoder = importlib.import_module("keras_hub.src.models.retinanet.retinanet_label_encoder")  # is not exported
    labels = encoder.RetinaNetLabelEncoder(bounding_box_format="xyxy", anchor_generator=anchors)
    return keras_hub.models.RetinaNetObjectDetector(backbone=pyramid, label_encoder=labels, num_classes=3)


@pytest.mark.parametrize(("make", "blocks"), [(classifier, 8), (segmenter, 7), (detector, 8)])
def test_a_network_of_keras_hub_is_cut_pruned_and_exported(
    make: Callable[[], keras.Model], blocks: int, tmp_path: Path
) -> None:
    make().save(tmp_path / "hub.keras")
    model = open_model(str(tmp_path / "hub.keras"))
    pieces = extract(model)
    found = [p for p in pieces if p.kind == "block"]
    assert len(found) == blocks
    check_composed(model, pieces)
    for piece in pieces:
        check_convertible(piece)
    half = descendant(found[0].model, 0.5)
    assert half.count_params() < found[0].model.count_params()
    x = np.zeros((1, *found[0].model.inputs[0].shape[1:]), np.float32)
    assert half(x).shape == found[0].model(x).shape
