"""What the heads of image files say: how much memory reading one takes."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from legodnn.image_files import decoding_bytes

Image = pytest.importorskip("PIL.Image")
ROOT = Path(__file__).resolve().parents[2]


def picture(side: int, kind: str, mode: str, **settings: object) -> bytes:
    """A square picture without colours."""
    content = io.BytesIO()
    Image.new(mode, (side, side)).save(content, kind, **settings)
    return content.getvalue()


def test_what_is_refused_by_its_head_takes_nothing() -> None:
    for content in (b"no picture", picture(10_000, "PNG", "1")):
        assert decoding_bytes(content) == 0


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
    (tmp_path / "picture").write_bytes(content)
    weighing = [sys.executable, "-c", _WEIGH, str(tmp_path / "picture"), str(channels)]
    taken = int(subprocess.run(weighing, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    assert 4_000_000 < taken < decoding_bytes(content)
