"""A video plays the camera: models see the same picture in the same turn, as they take it, and it starts again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legodnn.cli import main
from legodnn.errors import InputError
from legodnn.manifest import InputSpec
from legodnn.runtime.feeds.camera import Camera, is_live
from legodnn.store import Store

cv2 = pytest.importorskip("cv2")

GREY = InputSpec(name="x", shape=(12, 12, 1))
COLOUR = InputSpec(name="x", shape=(6, 8, 3), range=(-1.0, 1.0))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Three frames of 32x24: red, green, blue; uncompressed enough to tell them apart."""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24))
    for bgr in ((0, 0, 255), (0, 255, 0), (255, 0, 0)):
        writer.write(np.full((24, 32, 3), bgr, np.uint8))
    writer.release()
    return path


def test_frames_are_resized_scaled_and_in_rgb(video: Path) -> None:
    frames = Camera(str(video)).inputs(COLOUR, 3).x
    assert len(frames) == 3
    for turn, colour in enumerate(([1, -1, -1], [-1, 1, -1], [-1, -1, 1])):
        frame = np.asarray(frames[turn])
        assert frame.shape == (6, 8, 3)
        assert frame.dtype == np.float32
        assert frame.flags.c_contiguous
        np.testing.assert_allclose(frame[3, 4], colour, atol=0.05)


def test_models_see_the_same_picture_in_the_same_turn_and_the_video_starts_again(video: Path) -> None:
    camera = Camera(str(video))
    one, other = camera.inputs(COLOUR, 9).x, camera.inputs(GREY, 9).x
    for turn in range(7):
        red = np.asarray(one[turn])[3, 4, 0] > 0
        assert red == (turn % 3 == 0)
        brightness = float(np.asarray(other[turn]).mean())
        assert brightness == pytest.approx((0.299, 0.587, 0.114)[turn % 3], abs=0.03)


def test_the_first_turn_of_the_next_round_is_a_new_picture(video: Path) -> None:
    frames = Camera(str(video)).inputs(COLOUR, 1).x
    assert [int(np.asarray(frames[0])[3, 4].argmax()) for _ in range(4)] == [0, 1, 2, 0]


def test_what_is_no_camera_or_video_is_refused(tmp_path: Path, video: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    shutil.copy(video, tmp_path / "\udcff.avi")  # OpenCV ended the process
    # To OpenCV camera 200 is number 0, asked for in one way; and of "camera:" a shell may have lost the number.
    cameras = ("camera:99", "camera:front", "camera:", "camera:200", f"camera:{1 << 70}")
    videos = [str(tmp_path / name) for name in ("text.mp4", "none.avi", "none.M4V", "\udcff.avi")]
    for source in (*cameras, *videos):
        assert is_live(source)
        with pytest.raises(InputError, match="is no camera" if source in cameras[1:] else "cannot open"):
            Camera(source)
    with pytest.raises(InputError, match="gives pictures"):
        Camera(str(video)).inputs(InputSpec(name="x", shape=(10,)), 1)


def test_our_error_is_all_that_is_printed_where_there_is_no_camera_or_video(tiny_store: Store, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    for source in ("camera", "camera:99", tmp_path / "text.mp4", tmp_path / "none.avi"):
        command = [sys.executable, "-m", "legodnn", "run", str(tiny_store.path), "--input", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if source == "camera" and done.returncode == 0:
            continue  # there is one
        assert done.returncode == 1
        assert done.stderr == f"legodnn: cannot open {source}; is it there, and used by nothing else?\n"


def test_models_run_on_a_video(video: Path, tiny_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tiny_store.path), "--input", str(video), "--frames", "5", "--json"]) == 0
    (step,) = json.loads(capsys.readouterr().out)
    (measured,) = step["models"].values()
    assert measured["inferences"] == 5
    assert measured["accuracy"] is None
