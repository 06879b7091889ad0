"""A `Progress` that notes what it is told, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class RecordedTask:
    """One task: what it was opened with, and how many units were done when it ended."""

    label: str
    total: int
    done: float
    notes: list[str] = field(default_factory=list)
    ended: bool = False

    def step(self, note: str = "") -> None:
        self.at(self.done + 1, note)

    def at(self, done: float, note: str = "") -> None:
        assert not self.ended
        self.done = done
        self.notes.append(note)


class RecordedProgress:
    """All tasks, in the order in which they began."""

    def __init__(self) -> None:
        self.tasks: list[RecordedTask] = []

    @contextmanager
    def __call__(self, label: str, total: int, done: int = 0) -> Iterator[RecordedTask]:
        assert total >= 1, label  # what shows progress may divide by it
        task = RecordedTask(label, total, done)
        self.tasks.append(task)
        yield task
        task.ended = True

    def labels(self) -> list[str]:
        return [task.label for task in self.tasks]

    def check_complete(self) -> None:
        """Every task has ended with all of its units done; where seconds are counted, the last may be a part of one."""
        assert self.tasks
        for task in self.tasks:
            assert task.ended, task
            assert task.total - 1 < task.done <= task.total, task
