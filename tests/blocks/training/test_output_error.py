"""Outputs are compared by what they hold: numbers, or distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from legodnn.blocks.importing.heads import Head
from legodnn.blocks.training.output_error import output_error


def heads_of_kind(kind: str) -> tuple[Head, Any]:
    """How an output is read, and a function that makes it of logits."""
    return {
        "logits of classes": (Head("classes", "top1", "linear"), lambda z: z),
        "probabilities of classes": (Head("classes", "top1", "softmax"), ops.softmax),
        "logit": (Head("binary", "binary_accuracy", "linear"), lambda z: z[:, :1]),
        "probability": (Head("binary", "binary_accuracy", "sigmoid"), lambda z: ops.sigmoid(z[:, :1])),
        "numbers": (Head("numbers", "r2", "linear"), lambda z: z),
    }[kind]


def test_probabilities_are_compared_as_the_logits_that_they_were_made_of() -> None:
    rng = np.random.default_rng(0)
    y, target = (ops.convert_to_tensor(rng.normal(0, 2, (8, 3)).astype(np.float32)) for _ in range(2))
    errors = {}
    for kind in ("logits of classes", "probabilities of classes", "logit", "probability", "numbers"):
        head, made = heads_of_kind(kind)
        errors[kind] = np.asarray(output_error(head, made(y), made(target), 2))
        assert errors[kind].shape == (2,)
        assert (errors[kind] > 0.01).all(), kind
        np.testing.assert_allclose(output_error(head, made(target), made(target), 2), 0, atol=1e-5)
    np.testing.assert_allclose(errors["logits of classes"], errors["probabilities of classes"], rtol=1e-4)
    np.testing.assert_allclose(errors["logit"], errors["probability"], rtol=1e-3)
