"""What the heads of image files say: how large the pictures are, and how much memory reading one takes."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legodnn.errors import DataError
from legodnn.image_files import decode_smaller, decoding_bytes, picture_size
from legodnn.images import load
from legodnn.tensor_spec import InputSpec

Image = pytest.importorskip("PIL.Image")
ROOT = Path(__file__).resolve().parents[2]


def picture(side: int, kind: str, mode: str, **settings: object) -> bytes:
    """A square picture without colours."""
    content = io.BytesIO()
    Image.new(mode, (side, side)).save(content, kind, **settings)
    return content.getvalue()


def test_what_is_refused_by_its_head_takes_nothing() -> None:
    for content in (b"no picture", picture(10_000, "PNG", "1")):
        assert decoding_bytes(content, (8, 8, 3)) == 0


def test_pictures_whose_pixels_or_exif_are_damaged_have_no_size(tmp_path: Path) -> None:
    """The heads of PNG files do not tell whether EXIF follows behind the pixels, so these are read too."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    for name, exif in (("cut.png", None), ("exif.png", b"Exif\0\0none at all")):
        noise.save(tmp_path / name, **({"exif": exif} if exif else {}))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:4000])
    for file in sorted(tmp_path.iterdir()):
        with pytest.raises(DataError, match=rf"cannot read .*{file.name} as an image \(.*\); replace or remove it"):
            picture_size(file, DataError)


_WEIGH = """
import io, sys
import psutil
from PIL import Image
from legodnn.images import Frame, load
from legodnn.tensor_spec import InputSpec

path, channels = sys.argv[1], int(sys.argv[2])
spec = InputSpec(name="x", shape=(8, 8, channels))
for kind in ("PNG", "WEBP", "JPEG"):
    small = io.BytesIO()
    Image.new("RGB", (32, 32)).save(small, kind)
    load(small.getvalue(), spec)
content = open(path, "rb").read()
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")  # begins to measure it anew
before = psutil.Process().memory_info().rss
load(content, spec)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) * 1024 - before)
"""


@pytest.mark.parametrize(
    ("kind", "mode", "channels", "settings"),
    [
        ("JPEG", "RGB", 3, {"progressive": True, "subsampling": 0, "orientation": 6}),
        ("JPEG", "CMYK", 4, {"progressive": True, "subsampling": 0}),
        ("PNG", "RGB", 3, {"transparency": (1, 2, 3), "orientation": 6}),
        ("PNG", "P", 4, {"transparency": 3}),
        ("PNG", "I;16", 1, {}),
        ("WEBP", "RGB", 4, {"orientation": 6}),
    ],
)
def test_no_picture_takes_more_than_is_said(
    tmp_path: Path, kind: str, mode: str, channels: int, settings: dict[str, object]
) -> None:
    exif = Image.Exif()
    if orientation := settings.pop("orientation", None):
        exif[0x0112] = orientation
        settings["exif"] = exif.tobytes()
    content = picture(2000, kind, mode, **settings)
    assert 4_000_000 < weighed(content, tmp_path, channels) < decoding_bytes(content, (8, 8, channels))


def weighed(content: bytes, folder: Path, channels: int) -> int:
    (folder / "picture").write_bytes(content)
    weighing = [sys.executable, "-c", _WEIGH, str(folder / "picture"), str(channels)]
    return int(subprocess.run(weighing, check=True, capture_output=True, text=True, cwd=ROOT).stdout)


def scan_by_scan(side: int) -> bytes:
    """A JPEG file that is not progressive, but has its three channels one after the other."""
    gray = picture(side, "JPEG", "L")
    frame, scan = gray.index(b"\xff\xc0"), gray.index(b"\xff\xda")
    three = (
        bytes((0xFF, 0xC0, 0, 17))
        + gray[frame + 4 : frame + 9]
        + b"\x03"
        + b"".join(b"%c\x11\0" % i for i in (1, 2, 3))
    )
    scans = (gray[scan : scan + 5] + b"%c" % i + gray[scan + 6 : -2] for i in (1, 2, 3))
    return gray[:frame] + three + gray[frame + 13 : scan] + b"".join(scans) + gray[-2:]


@pytest.mark.parametrize(
    ("content", "least", "most"),
    [
        (picture(4496, "JPEG", "RGB"), 1, 13 / 64),
        (picture(4496, "JPEG", "CMYK", progressive=True, subsampling=0), 8, 8.4),
        (scan_by_scan(4496), 6, 6.4),
    ],
    ids=["photo", "progressive", "scan by scan"],
)
def test_large_jpeg_files_are_decoded_at_an_eighth_of_their_size(
    tmp_path: Path, content: bytes, least: float, most: float
) -> None:
    taken, said = weighed(content, tmp_path, 3), decoding_bytes(content, (8, 8, 3))
    assert taken < said <= most * 4496 * 4496
    assert least == 1 or taken > least * 4496 * 4496  # of a part of the size where channels come in several scans


def test_a_picture_that_is_decoded_smaller_is_nearly_the_same(tmp_path: Path) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    large = Image.fromarray(coarse).resize((5000, 3400), Image.Resampling.BICUBIC)
    large.save(tmp_path / "large.jpg", exif=exif.tobytes())
    with Image.open(tmp_path / "large.jpg") as image:
        decode_smaller(image, (224, 96))
        assert image.size == (1250, 850)
        image.load()
    spec = InputSpec(name="x", shape=(224, 96, 3), fit="crop")
    whole = load(Image.open(tmp_path / "large.jpg"), spec)
    assert 0 < abs(load(tmp_path / "large.jpg", spec) - whole).mean() * 255 < 1
    with Image.open(tmp_path / "large.jpg") as image:
        decode_smaller(image, (1800, 900))  # an eighth is too small for that, and so is a half
        assert image.size == (5000, 3400)
