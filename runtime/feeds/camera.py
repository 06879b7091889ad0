"""A camera, or a video file, as input: frames as they are when a model asks for them."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Array
from legodnn.errors import DependencyError, InputError
from legodnn.images import check_pillow, fit_array, shape_problem
from legodnn.manifest import InputSpec
from legodnn.runtime.feeds.inputs import Inputs, as_model_takes

# Read by OpenCV and its FFmpeg when they are loaded: they print nothing, for what goes wrong is said here, once. Where
# the user has set them otherwise, that holds.
_SILENCE = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}


class Camera:
    """One camera for all models, so that they see the same picture in the same turn.

    Args:
        source: `camera`, `camera:NUMBER` for another than the first, or the path of a video file, which is
            played again when it ends.

    Raises:
        InputError: it cannot be opened.
        DependencyError: OpenCV is not installed.
    """

    def __init__(self, source: str) -> None:
        for variable, level in _SILENCE.items():
            os.environ.setdefault(variable, level)
        try:
            import cv2
        except ImportError:
            raise DependencyError("a camera needs OpenCV; pip install 'legodnn[camera]'") from None
        self._cv2, self.source = cv2, source
        number = source.partition(":")[2] or "0"
        if is_camera(source) and not number.isdecimal():
            raise InputError(f"{source!r} is no camera; write camera:0 for the first, camera:1 for the next")
        self._video = cv2.VideoCapture(int(number) if is_camera(source) else source)
        if not self._video.isOpened():
            raise InputError(f"cannot open {source}; is it there, and used by nothing else?")
        self._turn: int | None = None
        self._seen: set[object] = set()
        self._picture: NDArray[np.uint8] | None = None

    def picture(self, turn: int, viewer: object) -> NDArray[np.uint8]:
        """The picture of a turn, (height, width, 3), RGB: new in a new turn, and to a viewer who has seen this one."""
        if self._picture is None or turn != self._turn or viewer in self._seen:
            self._seen.clear()
            there, frame = self._video.read()
            if not there:
                self._video.set(self._cv2.CAP_PROP_POS_FRAMES, 0)
                there, frame = self._video.read()
            if not there:
                raise InputError(f"{self.source} gives no more pictures")
            self._turn, self._picture = turn, self._cv2.cvtColor(frame, self._cv2.COLOR_BGR2RGB)
        assert self._picture is not None
        self._seen.add(viewer)
        return self._picture

    def inputs(self, spec: InputSpec, frames: int) -> Inputs:
        """So many frames for a model, resized and scaled as it takes them.

        Raises:
            InputError: the model does not take pictures.
            DependencyError: Pillow is not installed.
        """
        check_pillow()
        if problem := shape_problem(spec.shape):
            raise InputError(f"{self.source} gives pictures; {problem}")
        return Inputs(_Frames(self, spec, frames))

    def close(self) -> None:
        """Let go of it."""
        self._video.release()


class _Frames:
    """What a camera shows to one model."""

    def __init__(self, camera: Camera, spec: InputSpec, count: int) -> None:
        self._camera, self._spec, self._count = camera, spec, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, turn: int) -> Array:
        return as_model_takes(fit_array(self._camera.picture(turn, self), self._spec.shape), self._spec)


def is_camera(source: str) -> bool:
    """Whether an input's name means a camera."""
    return source == "camera" or source.startswith("camera:")


def is_live(source: str) -> bool:
    """Whether an input's name means a camera or a video file."""
    return is_camera(source) or source.lower().endswith((".mp4", ".avi", ".mkv", ".mov", ".webm"))
