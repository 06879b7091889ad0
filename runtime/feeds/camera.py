"""A camera or a video file as input. A frame is read at the moment when a model asks for it."""

from __future__ import annotations

import os
import re

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import AnyArray
from legodnn.errors import DependencyError, InputError
from legodnn.image_files import check_pillow
from legodnn.images import fit_array, frame_of
from legodnn.manifest import InputSpec
from legodnn.runtime.feeds.inputs import Inputs

# OpenCV and its FFmpeg read these variables when they are loaded, and then print nothing: what goes wrong is in the
# errors raised here. What the user has set is left as it is.
_SILENCE = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}


class Camera:
    """One camera for all models, so that they see the same picture in the same turn.

    Args:
        source: `camera` for the first camera, `camera:NUMBER` for another one (0 is the first), or the path of a video
            file, which starts again when it ends.

    Raises:
        InputError: the camera or the file cannot be opened.
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
        # From 100 on OpenCV takes the hundreds for the system that it is to ask, and camera 200 for 0.
        if is_camera(source) and not re.fullmatch(r"camera(:[0-9]{1,2})?", source):
            raise InputError(f"{source!r} is no camera; write camera:0 for the first, camera:1 for the next, up to 99")
        try:
            source.encode()  # of what cannot be, OpenCV ends the process
        except UnicodeEncodeError:
            raise InputError(f"cannot open {source}: its name is no UTF-8; rename it") from None
        number = source.partition(":")[2] or "0"
        self._video = cv2.VideoCapture(int(number) if is_camera(source) else source)
        if not self._video.isOpened():
            raise InputError(f"cannot open {source}; is it there, and used by nothing else?")
        self._turn: int | None = None
        self._seen: set[object] = set()
        self._picture: NDArray[np.uint8] | None = None

    def picture(self, turn: int, viewer: object) -> NDArray[np.uint8]:
        """Return the picture of a turn: RGB, shape (height, width, 3).

        All viewers see the same picture in the same turn. A viewer who asks twice in one turn gets a new picture.

        Args:
            turn: the number of the turn.
            viewer: who looks: a model's frames.

        Raises:
            InputError: the camera gives no more pictures.
        """
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
        """Return frames for one model, resized and scaled as the model takes them.

        Args:
            spec: the model's input.
            frames: number of frames.

        Raises:
            InputError: the model does not take pictures.
            DependencyError: Pillow is not installed.
        """
        check_pillow()
        if problem := frame_of(spec).problem:
            raise InputError(f"{self.source} gives pictures; {problem}")
        return Inputs(_Frames(self, spec, frames))

    def close(self) -> None:
        """Release the camera or the file."""
        self._video.release()


class _Frames:
    """The frames of a camera for one model, read when they are asked for."""

    def __init__(self, camera: Camera, spec: InputSpec, count: int) -> None:
        self._camera, self._spec, self._count = camera, spec, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, turn: int) -> AnyArray:
        return self._spec.from_pixels(fit_array(self._camera.picture(turn, self), frame_of(self._spec)))


def is_camera(source: str) -> bool:
    """Whether an input's name means a camera."""
    return source == "camera" or source.startswith("camera:")


def is_live(source: str) -> bool:
    """Whether an input's name means a camera or a video file."""
    return is_camera(source) or source.lower().endswith((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"))
