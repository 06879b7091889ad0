"""Models of several tasks are built into stores by their readings, and what their blocks give is decoded.

Covers also: blocks.source.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from legodnn import Runtime
from legodnn.blocks.importing.graph import as_list
from legodnn.blocks.pipeline import build
from legodnn.profile import default_path
from legodnn.profiler import Effort, profile_store
from legodnn.readings import AnchorBoxes, Anomaly, ClassMap, HeatMaps, Reading
from legodnn.recipe import Recipe
from legodnn.tasks import FoundAnomaly, FoundAreas, FoundBox, FoundPoint, decode

SIZE, COUNT = 16, 60


def conv(x: Any, width: int, stride: int = 1) -> Any:
    x = layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def trunk() -> tuple[Any, Any, Any]:
    image = keras.Input((SIZE, SIZE, 3), name="image")
    fine = conv(conv(conv(image, 8), 8), 8, 2)
    return image, fine, conv(conv(conv(fine, 8, 2), 8), 8)


def detector() -> tuple[keras.Model, Reading, np.ndarray]:
    image, fine, coarse = trunk()
    model = keras.Model(image, [layers.Conv2D(7, 1, name="coarse")(coarse), layers.Conv2D(7, 1, name="fine")(fine)])
    boxes = np.full((COUNT, 2, 5), -1.0)
    boxes[:, 0] = [2, 3, 9, 12, 1]
    return model, AnchorBoxes(anchors=(((8.0, 8.0),), ((4.0, 4.0),)), least_score=0.0), boxes


def pose() -> tuple[keras.Model, Reading, np.ndarray]:
    image, fine, _ = trunk()
    points = np.random.default_rng(1).uniform(1, SIZE - 1, (COUNT, 2, 3))
    return keras.Model(image, layers.Conv2D(2, 1)(conv(fine, 8))), HeatMaps(points=("eye", "nose")), points


def autoencoder() -> tuple[keras.Model, Reading, np.ndarray]:
    image, _, code = trunk()
    x = layers.Conv2DTranspose(8, 4, 4, "same", activation="relu")(code)
    model = keras.Model(image, layers.Subtract()([layers.Conv2D(3, 3, padding="same")(x), image]))
    return model, Anomaly(threshold=0.0), np.arange(COUNT) % 2


def segmenter() -> tuple[keras.Model, None, np.ndarray]:
    image, fine, _ = trunk()
    model = keras.Model(image, layers.UpSampling2D(2)(layers.Conv2D(3, 1)(conv(fine, 8))))
    return model, None, np.random.default_rng(2).integers(0, 3, (COUNT, SIZE, SIZE))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "metric", "task", "kind"),
    [
        (detector, "mean_average_precision", "detection", FoundBox),
        (pose, "pck", "pose", FoundPoint),
        (autoencoder, "auroc", "anomaly", FoundAnomaly),
        (segmenter, "mean_iou", "segmentation", FoundAreas),
    ],
)
def test_a_store_is_built_rated_and_decoded_by_its_reading(
    make: Any, metric: str, task: str, kind: type, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(0)
    model, reading, labels = make()
    model.save(tmp_path / "m.keras")
    x = np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)
    parts = {"train": slice(0, 30), "val": slice(30, 45), "test": slice(45, 60)}
    arrays: dict[str, Any] = {
        f"{name}_{part}": of[rows] for part, rows in parts.items() for name, of in (("x", x), ("y", labels))
    }
    np.savez(tmp_path / "d.npz", **arrays)
    recipe = Recipe(
        model=str(tmp_path / "m.keras"), name="m", data=f"npz:{tmp_path / 'd.npz'}", reading=reading, min_share=0.0,
        sparsities=(0.5,), precisions=("float32",), strategy="l1", round_to=1, distill_epochs=1, joint_epochs=1,
        samples=6, calibration_images=8,
    )  # fmt: skip
    store = build(recipe, tmp_path / "store", allow_chance=True)
    manifest = store.manifest
    assert (manifest.accuracy.metric, manifest.model.task) == (metric, task)
    assert manifest.model.reading == (reading or ClassMap())
    assert manifest.blocks
    profile_store(store, Effort(threads=(1,), seconds=0.2, processes=1, plans=3)).save(default_path(store.path))
    image = manifest.inputs[0].from_pixels(x[0])
    with Runtime.open([store.path]) as runtime:
        outputs = runtime.infer("store", image)
    picture = 2 * SIZE, 2 * SIZE
    found = decode(store, outputs, picture)
    assert all(isinstance(each, kind) for each in (found if isinstance(found, tuple) else (found,)))
    whole = [np.asarray(y)[0] for y in as_list(model(image[None], training=False))]
    expected = decode(store, dict(zip(manifest.outputs, whole, strict=True)), picture)
    if isinstance(found, FoundAreas) and isinstance(expected, FoundAreas):
        assert found.classes.shape == picture
        assert (found.classes == expected.classes).mean() > 0.99
    elif isinstance(found, FoundAnomaly) and isinstance(expected, FoundAnomaly):
        assert (found.anomaly, found.score) == (True, pytest.approx(expected.score, rel=1e-4))
    else:
        assert found
        assert len(found) == len(expected)  # type: ignore[arg-type]
