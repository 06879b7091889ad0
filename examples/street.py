"""Three DNNs on one street scene, under one budget: areas, boxes of cars and people, and whether it is dusk.

    pip install 'legodnn[train]'
    python examples/street.py CAMVID street    # trains three small networks and builds stores, or goes on with that
    for name in scene traffic light; do legodnn profile street/stores/$name; done    # once, on the device
    cp examples/street.toml street
    legodnn run street/street.toml --input CAMVID/test --draw found

CAMVID holds train, trainannot, val, valannot, test and testannot: CamVid's pictures, and masks of 11 classes and void.
Boxes are drawn around areas of cars, people and cyclists; scenes of the drive 0001TP are of dusk.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from legodnn.blocks import zoo
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.pipeline import build
from legodnn.blocks.training.anchor_loss import AnchorLoss, anchor_targets, fitted_anchors
from legodnn.console import ProgressLine
from legodnn.readings import AnchorBoxes
from legodnn.recipe import Recipe

import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)
from keras import layers  # isort: skip

SMALL, LARGE = (96, 128, 3), (144, 192, 3)  # height, width and channels of what networks take
CLASSES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "person", "cyclist", "void"]
TRAFFIC, LEAST_PIXELS, ANCHORS = ("car", "person", "cyclist"), 300, 6


def scene_data(camvid: Path, folder: Path) -> None:
    """Lay the names of the classes beside the masks."""
    folder.mkdir(parents=True)
    for part in ("train", "val", "test"):
        for name in (part, f"{part}annot"):
            (folder / name).symlink_to((camvid / name).resolve())
    (folder / "classes.txt").write_text("\n".join(CLASSES))


def traffic_data(camvid: Path, folder: Path) -> None:
    """Draw boxes around connected areas of the masks, as a file of COCO's form."""
    for part in ("train", "val", "test"):
        pictures, boxes = [], []
        shutil.copytree(camvid / part, folder / part)
        for number, file in enumerate(sorted((camvid / part).iterdir())):
            pictures.append({"id": number, "file_name": file.name})
            mask = np.asarray(Image.open(camvid / f"{part}annot" / file.name))
            for name in TRAFFIC:
                areas, _ = ndimage.label(mask == CLASSES.index(name))
                for i, (rows, columns) in enumerate(ndimage.find_objects(areas), start=1):
                    if (areas[rows, columns] == i).sum() >= LEAST_PIXELS:
                        sides = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
                        boxes.append({"image_id": number, "category_id": TRAFFIC.index(name), "bbox": sides})
        categories = [{"id": i, "name": name} for i, name in enumerate(TRAFFIC)]
        document = {"categories": categories, "images": pictures, "annotations": boxes}
        (folder / part / "boxes.json").write_text(json.dumps(document))


def light_data(camvid: Path, folder: Path) -> None:
    """Sort pictures by their drive. CamVid's val is of one drive by day, so it is left out."""
    for part in ("train", "test"):
        for file in sorted((camvid / part).iterdir()):
            place = folder / part / ("dusk" if file.name.startswith("0001TP") else "day")
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)


class Training(NamedTuple):
    """A network, and what it is trained by."""

    model: keras.Model
    loss: keras.Loss
    x: np.ndarray
    y: np.ndarray
    reading: AnchorBoxes | None = None


def classified(model: keras.Model, data: Dataset) -> Training:
    """Return the training of a network that scores classes, of pictures or of places."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    return Training(model, loss, np.asarray(data.train.x), np.asarray(data.train.y))


def located(data: Dataset) -> Training:
    """Return the training of a network of one grid of boxes, on pictures and their mirror images."""
    x, y = np.asarray(data.train.x), np.asarray(data.train.y)
    mirrored, there = y.copy(), y[..., 4] >= 0
    mirrored[there, 0], mirrored[there, 2] = LARGE[1] - y[there, 2], LARGE[1] - y[there, 0]
    x, y = np.concatenate([x, x[:, :, ::-1]]), np.concatenate([y, mirrored])
    reading = AnchorBoxes(anchors=fitted_anchors(y, grids=1, each=ANCHORS))
    features = image = keras.Input(LARGE)
    for channels, stride in ((16, 2), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (64, 1)):
        features = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False)(features)
        features = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))
    grid = layers.Conv2D(ANCHORS * (5 + len(TRAFFIC)), 1)(features)
    (targets,) = anchor_targets(y, reading, [grid.shape[1:]], *LARGE[:2])
    return Training(keras.Model(image, grid), AnchorLoss(ANCHORS), x, targets, reading)


class Network(NamedTuple):
    """What is built: from which kind of data, at which size of pictures, and how it is trained, for how many epochs."""

    kind: str
    lay_out: Callable[[Path, Path], None]
    size: tuple[int, int, int]
    training: Callable[[Dataset], Training]
    epochs: int


NETWORKS = {
    "scene": Network(
        "masks", scene_data, SMALL, lambda data: classified(zoo.fcn(1 / 8, SMALL, len(data.labels)), data), 20
    ),
    "traffic": Network("coco", traffic_data, LARGE, located, 40),
    "light": Network("images", light_data, SMALL, lambda data: classified(zoo.resnet20(1 / 2, SMALL, 2), data), 10),
}


def main(camvid: Path, out: Path, most_epochs: int = 40) -> None:
    """Train each network and build its store; what an interrupted run has finished stays as it is."""
    for name, network in NETWORKS.items():
        if (out / "stores" / name).exists():
            continue
        epochs, trained = min(network.epochs, most_epochs), out / f"{name}.keras"
        if not (out / name).exists():
            draft = out / f"{name}.unfinished"
            shutil.rmtree(draft, ignore_errors=True)
            network.lay_out(camvid, draft)
            draft.rename(out / name)
        source = f"{network.kind}:{out / name}"
        training = network.training(load_data(source, image_size=network.size[:2]))
        if not trained.exists():
            model, steps = training.model, epochs * -(-len(training.x) // 16)
            model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)), training.loss)
            model.fit(training.x, training.y, batch_size=16, epochs=epochs, verbose=2)
            model.save(out / f"{name}.unfinished.keras")
            (out / f"{name}.unfinished.keras").rename(trained)
        recipe = Recipe(
            model=str(trained),
            name=name,
            data=source,
            reading=training.reading,
            sparsities=(0.5, 0.75),
            max_blocks=6,
            batch_size=16,
            distill_epochs=-(-epochs // 5),
            joint_epochs=-(-epochs // 5),
        )
        accuracy = build(
            recipe, out / "stores" / name, progress=ProgressLine, allow_chance=most_epochs < 5
        ).manifest.accuracy
        print(f"{name}: {accuracy.metric} {accuracy.original:.3f}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
