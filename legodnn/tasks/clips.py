"""Clips: the class of several frames, each of which a model gives scores for."""

from __future__ import annotations

import numpy as np

from legodnn.arrays import AnyArray, Floats


def clip_scores(scores: AnyArray, frames: int) -> Floats:
    """Return the mean scores of clips, shape (clips, classes): the consensus of Wang et al. (2016). A rest is left out.

    Args:
        scores: of each frame, clip after clip, shape (n, classes).
        frames: frames of a clip.
    """
    clips = len(scores) // frames
    means: Floats = scores[: clips * frames].reshape(clips, frames, scores.shape[-1]).astype(np.float64).mean(axis=1)
    return means


def clip_accuracy(scores: AnyArray, labels: AnyArray, frames: int) -> float:
    """Return the share of clips whose largest mean score is their class's.

    Args:
        scores: of each frame, clip after clip, shape (n, classes).
        labels: of each frame, those of a clip's first frame count: class numbers, shape (n,) or (n, 1); or scores, as
            of another model, shape (n, classes).
        frames: frames of a clip.
    """
    found = clip_scores(scores, frames).argmax(axis=1)
    if labels.shape == scores.shape:
        truth = clip_scores(labels, frames).argmax(axis=1)
    else:
        truth = labels[: len(found) * frames : frames].reshape(-1)
    return float((found == truth).mean()) if len(found) else 0.0


def uniform_frames(count: int, frames: int) -> list[int]:
    """Return which of `count` frames make a clip: the middle ones of as many equally long parts, in order.

    Shorter sequences repeat frames.
    """
    return [int((i + 0.5) * count / frames) for i in range(frames)]
