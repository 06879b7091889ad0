"""Draw what the stores of several tasks find in pictures that anyone may show, as docs/tasks/TASK.png.

    python benchmarks/six_tasks.py --data DATA --work WORK
    python docs/draw_tasks.py WORK

Shown are test images of `benchmarks/six_tasks.py`: BCCD's blood cells (MIT), drawn figures, scikit-learn's digits.
Pictures of CamVid and CIFAR-10 cannot be shown.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from legodnn.errors import InfeasibleError
from legodnn.readings import ClassScores, Coordinates, HeatMaps
from legodnn.runtime import Runtime
from legodnn.runtime.feeds.inputs import read_inputs
from legodnn.tasks import decode
from legodnn.tasks.drawing import draw
from legodnn.workload import Budget

PICTURES = Path(__file__).resolve().parent / "tasks"
PANEL, GAP, COLOURS = (256, 192), 6, 48


def panels(store: Path, source: Path, number: int) -> list[Image.Image]:
    """Return what the best and the smallest composition of a store find in an image, or in the clip it begins."""
    found = []
    with Runtime.open([store]) as runtime:
        ((name, opened),) = runtime.stores.items()
        spec, reading = opened.manifest.inputs[0], opened.manifest.model.reading
        limbs = reading.limbs if isinstance(reading, HeatMaps | Coordinates) else ()
        frames = reading.frames if isinstance(reading, ClassScores) else 1
        images = read_inputs(source, opened.manifest.inputs).x
        for budget in (Budget(), smallest(runtime)):
            runtime.budget = budget
            inputs = [images[number * frames + i] for i in range(frames)]
            outputs = [runtime.infer(name, image) for image in inputs]
            decoded = decode(opened, outputs[0] if frames == 1 else np.stack(outputs))
            picture = draw(spec.to_pixels(inputs[frames // 2]), decoded, limbs)
            picture.thumbnail(PANEL)
            found.append(picture)
    return found


def smallest(runtime: Runtime) -> Budget:
    """Return the tightest limit of memory that a plan keeps."""
    try:
        runtime.scheduler.plan(Budget(memory_bytes=1))
    except InfeasibleError as e:
        (limit,) = e.report.limits
        return Budget(memory_bytes=int(limit.needed or 0))
    raise AssertionError("a byte is too little for any plan")


def main(work: Path) -> None:
    """Draw a picture for each task: on the left by the best composition, on the right by the smallest."""
    shown = {"detection": 3, "pose": 1, "anomaly": 0, "action": 2}
    PICTURES.mkdir(exist_ok=True)
    for task, number in shown.items():
        left, right = panels(work / task / "store", work / task / "test.npz", number)
        whole = Image.new("RGB", (left.width + GAP + right.width, left.height), (255, 255, 255))
        whole.paste(left, (0, 0))
        whole.paste(right, (left.width + GAP, 0))
        whole.quantize(COLOURS).save(PICTURES / f"{task}.png", optimize=True)
        print(f"{task}: {(PICTURES / f'{task}.png').stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
