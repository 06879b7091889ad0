"""One loop for all training: what is interrupted anywhere ends as what is not, and everyone is told in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.blocks.build_state import Checkpoint
from legodnn.blocks.training.batches import Batches
from legodnn.blocks.training.loop import loop
from legodnn.errors import ModelError
from tests.blocks.training.interrupted import Interrupted, InterruptedCheckpoint

BATCHES = Batches(images=7, size=3, seed=1)  # three steps an epoch
EPOCHS = 4


@dataclass
class Walk:
    """A training of one number, which depends on every image it has seen; done when it is large enough."""

    enough: float = np.inf
    value: float = 1.0
    seen: list[tuple[int, list[int]]] = field(default_factory=list)
    measure: str = "value"

    @property
    def done(self) -> bool:
        return self.value >= self.enough

    def step(self, number: int, images: np.ndarray) -> float:
        self.seen.append((number, images.tolist()))
        self.value = 0.7 * self.value + float(images @ [1, 10, 100])
        return self.value

    def epoch_ended(self, steps: int, mean_loss: float) -> Mapping[str, float]:
        return {"mean": mean_loss, "value": self.value}

    def state(self) -> dict[str, Any]:
        return {"value": self.value}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.value = float(state["value"])


Scalars = list[tuple[str, float, int]]


def run(training: Walk, checkpoint: Checkpoint | None = None) -> Scalars:
    """The scalars that were logged until the end, or until the interruption."""
    scalars: Scalars = []
    with suppress(Interrupted):
        loop(training, BATCHES, EPOCHS, "walking", checkpoint=checkpoint, log=lambda *s: scalars.append(s))
    return scalars


@settings(max_examples=30)
@given(stops=st.lists(st.integers(0, 12), max_size=5), enough=st.sampled_from([np.inf, 450.0, 900.0]))
def test_interrupted_anywhere_it_goes_on_as_if_it_had_not_been(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], enough: float
) -> None:
    path = tmp_path_factory.mktemp("walk") / "state.npz"
    whole = Walk(enough)
    expected = run(whole)
    scalars: Scalars = []
    for steps in sorted(stops):
        scalars += run(Walk(enough), InterruptedCheckpoint(path, steps))
    last = Walk(enough)
    scalars += run(last, Checkpoint(path))
    assert last.value == whole.value
    assert last.seen == whole.seen[len(whole.seen) - len(last.seen) :]
    assert list(dict.fromkeys(scalars)) == expected
    assert len(scalars) == len(expected)


def test_an_epochs_end_is_told_with_the_mean_of_its_losses() -> None:
    training = Walk()
    scalars = run(training)
    again, values = Walk(), []
    for step in range(EPOCHS * BATCHES.per_epoch):
        values.append(again.step(step, BATCHES.indices(step)))
    means = np.reshape(values, (EPOCHS, -1)).mean(axis=1)
    assert [s for s in scalars if s[0] == "mean"] == [
        ("mean", pytest.approx(m), 3 * (i + 1)) for i, m in enumerate(means)
    ]
    assert [value for tag, value, _ in scalars if tag == "value"] == values[2::3]


def test_training_that_is_done_ends_early() -> None:
    training = Walk(enough=1.0)
    run(training)
    assert training.seen == []
    training = Walk(enough=500.0)
    run(training)
    assert 0 < len(training.seen) < 12
    assert training.value >= 500


def test_progress_is_told_of_every_step_and_of_those_done_before(tmp_path: Path) -> None:
    told: list[Any] = []

    class Task:
        def step(self, note: str = "") -> None:
            told.append(note)

        def at(self, done: float, note: str = "") -> None:
            raise AssertionError

    @contextmanager
    def progress(label: str, total: int, done: int = 0) -> Iterator[Task]:
        told.append((label, total, done))
        yield Task()
        told.append("end")

    run(Walk(), InterruptedCheckpoint(tmp_path / "state.npz", 10))
    training = Walk()
    checkpoint = Checkpoint(tmp_path / "state.npz")
    loop(training, BATCHES, EPOCHS, "walking", checkpoint=checkpoint, progress=progress)
    assert told[0] == ("walking", 12, 10)
    assert told[2:] == [f"value {training.value:.4f}", "end"]


def test_the_state_is_saved_only_when_that_is_due(tmp_path: Path) -> None:
    run(Walk(), Checkpoint(tmp_path / "never.npz", every_s=1000))
    assert not (tmp_path / "never.npz").exists()
    run(Walk(), Checkpoint(tmp_path / "always.npz", every_s=0))
    saved = Checkpoint(tmp_path / "always.npz").read()
    assert saved is not None
    assert int(saved["step"]) == 12


@pytest.mark.parametrize(
    "state", [{}, {"step": 1}, {"step": 1, "loss_sum": 0.0, "training": {"walk": 1.0}}, {"step": [], "loss_sum": 0.0}]
)
def test_the_state_of_another_training_is_refused(tmp_path: Path, state: dict[str, Any]) -> None:
    checkpoint = Checkpoint(tmp_path / "state.npz")
    checkpoint.write(state)
    with pytest.raises(ModelError, match=r"state\.npz holds the state of another training: remove it to start again"):
        loop(Walk(), BATCHES, EPOCHS, "walking", checkpoint=checkpoint)
