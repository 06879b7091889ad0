"""Data sets of six tasks as folders that `legodnn build` reads: some real, some drawn here by a seed.

Real are CIFAR-10, CamVid's streets, BCCD's blood cells and scikit-learn's digits. Poses and actions are drawn: figures
of sticks whose joints are known, and digits that move. Every folder has parts for training, for validation and for
testing; no digit of one part is in another.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.blocks.importing.data_sources import load_data

Pixels = NDArray[np.uint8]
Counts = Mapping[str, int]  # how many pictures, clips or figures each part gets

STREETS = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist")
POINTS = (
    *("head", "neck", "hips", "left_elbow", "left_hand", "right_elbow", "right_hand"),
    *("left_knee", "left_foot", "right_knee", "right_foot"),
)
LIMBS = ((0, 1), (1, 2), (1, 3), (3, 4), (1, 5), (5, 6), (2, 7), (7, 8), (2, 9), (9, 10))
NORMAL = 8  # the digit that counts as normal
_SIDE, _FRAME, _DIGIT = 96, 48, 24  # pixels of a figure's picture, of a clip's frame, and of the digit in it
_UNKNOWN = 0.05  # share of joints that tables leave out


def cifar10(data: Path, folder: Path, counts: Counts) -> str:
    """Write some of CIFAR-10's images to an .npz file, and return the source that reads it."""
    whole = load_data(f"cifar10:{data / 'cifar-10-batches-py'}")
    parts = {name: getattr(whole, name).first(count) for name, count in counts.items()}
    arrays: dict[str, Any] = {f"{a}_{n}": np.asarray(getattr(p, a)) for n, p in parts.items() for a in ("x", "y")}
    folder.mkdir(exist_ok=True)
    np.savez(folder / "images.npz", **arrays)
    return f"npz:{folder / 'images.npz'}"


def streets(data: Path, folder: Path, counts: Counts) -> str:
    """Link CamVid's parts, all of their pictures, with the names of its classes beside them."""
    folder.mkdir(exist_ok=True)
    for part in counts:
        for name in (part, f"{part}annot"):
            if not (folder / name).exists():
                (folder / name).symlink_to((data / "camvid" / name).resolve())
    (folder / "classes.txt").write_text("\n".join((*STREETS, "void")) + "\n")
    return f"masks:{folder}"


def cells(data: Path, folder: Path, counts: Counts) -> str:
    """Return the source that reads BCCD's pictures, all of them, as they lie there."""
    return f"voc:{data / 'bccd' / 'BCCD'}"


def figures(data: Path, folder: Path, counts: Counts) -> str:
    """Draw figures of sticks before lines and noise, with a table of their joints."""
    rng = np.random.default_rng(1)
    for part, count in counts.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        with (folder / part / "points.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image", *(f"{name}_{axis}" for name in POINTS for axis in "xy")])
            for number in range(count):
                joints = _joints(rng)
                _save(folder / part / f"{number:04d}.png", _figure(rng, joints))
                known = rng.random(len(POINTS)) >= _UNKNOWN
                places = [[f"{v:.1f}" for v in p] if k else ["", ""] for p, k in zip(joints, known, strict=True)]
                table.writerow([f"{number:04d}.png", *(text for place in places for text in place)])
    return f"points:{folder}"


def one_digit(data: Path, folder: Path, counts: Counts) -> str:
    """Write scikit-learn's digits: those of one kind for training, and of all kinds for testing, as MVTec AD lies."""
    images, labels = _digits()
    for digit in range(10):
        own = images[labels == digit]
        first = counts["train"] if digit == NORMAL else len(own) - counts["test"]
        for part, rows in (("train", own[:first] if digit == NORMAL else ()), ("test", own[first:])):
            for number, pixels in enumerate(rows):
                _save(folder / part / str(digit) / f"{number:03d}.png", pixels)
    return f"one_class:{folder}"


def moving_digits(data: Path, folder: Path, counts: Counts, frames: int = 4) -> str:
    """Draw clips of a digit that moves through noise, behind a bar that hides a part of it; its class is the digit."""
    images, labels = _digits()
    rng, start = np.random.default_rng(2), 0
    for part, share in zip(counts, (0.6, 0.15, 0.25), strict=True):
        end = start + int(share * len(images))
        for digit in range(10):  # a class even where no clip shows it
            (folder / part / str(digit)).mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(rng.integers(start, end, counts[part]).tolist()):
            for i, pixels in enumerate(_clip(rng, images[row], frames)):
                _save(folder / part / str(labels[row]) / f"{number:04d}" / f"{i}.png", pixels)
        start = end
    return f"clips:{folder}"


def _digits() -> tuple[Pixels, NDArray[np.int64]]:
    """Return scikit-learn's digits, shape (1797, 8, 8), and their numbers."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    return np.round(raw.images * (255 / 16)).astype(np.uint8), raw.target.astype(np.int64)


def _save(file: Path, pixels: Pixels) -> None:
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def _joints(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the places of the joints of a figure, shape (points, 2), inside of a picture."""
    while True:
        size, hips = rng.uniform(14, 20), rng.uniform((30, 40), (66, 58))
        lean = rng.normal(0, 0.2)
        up = np.array([np.sin(lean), -np.cos(lean)])
        neck = hips + 1.6 * size * up
        joints = [neck + 0.6 * size * up, neck, hips]
        for start, side, low, high in (
            (neck, -1, 0.2, 2.6),
            (neck, 1, 0.2, 2.6),
            (hips, -1, 0.1, 0.9),
            (hips, 1, 0.1, 0.9),
        ):
            angle, place = rng.uniform(low, high), start
            for _ in range(2):  # from straight down outwards: elbow and hand, knee and foot
                place = place + size * np.array([side * np.sin(angle), np.cos(angle)])
                joints.append(place)
                angle += rng.uniform(-0.2, 1.2) if start is neck else rng.uniform(-0.8, 0.1)
        found = np.array(joints)
        if (found > 3).all() and (found < _SIDE - 3).all():
            return found


def _figure(rng: np.random.Generator, joints: NDArray[np.float64]) -> Pixels:
    from PIL import Image, ImageDraw

    paper = rng.integers(0, 256, 3)
    image = Image.new("RGB", (_SIDE, _SIDE), tuple(paper.tolist()))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        ends = rng.uniform(0, _SIDE, 4).tolist()
        pen.line(ends, fill=tuple(rng.integers(0, 256, 3).tolist()), width=int(rng.integers(1, 4)))
    ink = (paper + rng.integers(90, 166, 3)) % 256
    for a, b in LIMBS:
        pen.line([*joints[a], *joints[b]], fill=tuple(ink.tolist()), width=int(rng.integers(3, 6)))
    x, y = joints[0]
    pen.ellipse([x - 5, y - 5, x + 5, y + 5], fill=tuple(ink.tolist()))
    noisy = np.asarray(image) + rng.normal(0, 12, (_SIDE, _SIDE, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _clip(rng: np.random.Generator, digit: Pixels, frames: int) -> list[Pixels]:
    """Return the frames of a clip, shape (height, width, 3) each."""
    large = np.kron(digit, np.ones((_DIGIT // 8, _DIGIT // 8)))
    place, speed = rng.uniform(0, _FRAME - _DIGIT, 2), rng.uniform(-9, 9, 2)
    found = []
    for _ in range(frames):
        frame = rng.normal(70, 40, (_FRAME, _FRAME))
        y, x = place.astype(int)
        frame[y : y + _DIGIT, x : x + _DIGIT] += 0.7 * large
        at = int(rng.integers(_DIGIT - 8))
        frame[y + at : y + at + 9, x : x + _DIGIT] = rng.normal(120, 40, (9, _DIGIT))
        found.append(np.repeat(np.clip(frame, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
        speed = np.where((place + speed < 0) | (place + speed > _FRAME - _DIGIT), -speed, speed)
        place = place + speed
    return found
