"""Systems of the comparison that this project has no command for: their models, as `.tflite` files for `legodnn pack`.

    python -m support.rivals slimmable --network vgg16_half --original original.keras --images images.npz \
        --epochs 3 --out DIR

- `students`: the same network with fewer channels in every layer, trained from nothing by distillation and labels.
- `nested`, `slimmable`: see `shared_weights`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from legodnn.blocks.export.convert import convert
from legodnn.blocks.importing.data import Dataset
from legodnn.blocks.importing.data_sources import load_data
from legodnn.blocks.importing.heads import heads_of
from legodnn.blocks.training.fine_tune import fine_tune
from legodnn.console import progress as console_progress
from support.compared import NETWORKS
from support.shared_weights import SharedWeights, nested, slimmable, train

import keras  # isort: skip  (after legodnn.blocks, which sets how TensorFlow starts)

CALIBRATION_IMAGES = 200
SHARES = (0.7, 0.45, 0.25, 0.12)  # of the original's multiply-accumulates
RIVALS = ("students", "nested", "slimmable")


def narrow_students(
    network: str, original: keras.Model, data: Dataset, epochs: int, batch_size: int
) -> list[keras.Model]:
    """Return narrower networks, trained from nothing by what the original gives and by labels."""
    made, heads = [], heads_of(original, data)
    for share in SHARES:
        keras.utils.set_random_seed(0)
        student = NETWORKS[network].narrow(share**0.5)
        fine_tune(
            original, student, data, epochs, batch_size, heads=heads, patience=epochs, progress=console_progress()
        )
        made.append(student)
    return made


def models_of(
    rival: str, network: str, original: keras.Model, data: Dataset, epochs: int, batch_size: int
) -> list[keras.Model]:
    """Return a system's models, the widest first."""
    if rival == "students":
        return [original, *narrow_students(network, original, data, epochs, batch_size)]
    weights = SharedWeights(original, SHARES)
    stages = slimmable(weights) if rival == "slimmable" else nested(weights)
    train(original, weights, stages, data, epochs, batch_size, progress=console_progress())
    return weights.models


def main() -> None:
    """Make a system's models, and write them in float32 and int8."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rival", choices=RIVALS)
    parser.add_argument("--network", choices=tuple(NETWORKS), required=True)
    parser.add_argument("--original", type=Path, required=True, help="the trained network, a .keras file")
    parser.add_argument("--images", type=Path, required=True, help=".npz with x_train, y_train, x_val ...")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    data = load_data(f"npz:{args.images}")
    original = keras.models.load_model(args.original, compile=False)
    args.out.mkdir(parents=True, exist_ok=True)
    calibration = [np.asarray(data.train.x[:CALIBRATION_IMAGES])]
    for number, model in enumerate(models_of(args.rival, args.network, original, data, args.epochs, args.batch_size)):
        for precision in ("float32", "int8"):
            content = convert(model, 1, precision, calibration if precision == "int8" else ())
            (args.out / f"{number}_{precision}.tflite").write_bytes(content)


if __name__ == "__main__":
    main()
