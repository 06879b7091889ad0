"""Scalars that training reports after every epoch, and TensorBoard, which can show them."""

from __future__ import annotations

from collections.abc import Callable

from legodnn.errors import DependencyError

# Takes the scalar's tag, its value, and the number of steps that are done.
Log = Callable[[str, float, int], None]


def silent(tag: str, value: float, step: int) -> None:
    """Keep nothing."""


def scalars_to(folder: str | None) -> Log:
    """Return a function that writes scalars to a folder for TensorBoard, or, for None, one that does nothing.

    Raises:
        DependencyError: TensorBoard is not installed.
    """
    if folder is None:
        return silent
    try:
        from tensorboard.summary import Writer
    except ImportError:
        raise DependencyError("logs for TensorBoard need its package; pip install tensorboard") from None
    writer = Writer(folder)

    def log(tag: str, value: float, step: int) -> None:
        writer.add_scalar(tag, value, step)
        writer.flush()

    return log
