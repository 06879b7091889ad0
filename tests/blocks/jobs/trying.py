"""Functions of jobs that tests run, here and on other machines."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.blocks.array_tree import ArrayTree
from legodnn.blocks.jobs.job import Attempt, DoesJob
from legodnn.errors import ModelError


def doubling(shared: Mapping[str, Any]) -> DoesJob:
    """Return twice, or `factor` times, what a job is given; tell two steps, a scalar, and the process's number."""

    def double(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
        attempt.at(1)
        attempt.log("value", 0.5, 1)
        attempt.at(2)
        return {"x": shared["factor"] * arguments["x"], "process": os.getpid()}

    return double


def dying(shared: Mapping[str, Any]) -> DoesJob:
    """Count to three; the process is ended by `signal` after each of the first `deaths` numbers."""

    def count(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
        begun = attempt.checkpoint.read()
        start = int(begun["number"]) if begun else 0
        for number in range(start, 3):
            attempt.checkpoint.write({"number": np.array(number + 1)})
            attempt.at(number + 1)
            time.sleep(0.2)  # what was told is on its way
            if number < int(arguments["deaths"]):
                os.kill(os.getpid(), int(arguments["signal"]))
                signal.pause()
        return {"began": np.array(start)}

    return count


def failing(shared: Mapping[str, Any]) -> DoesJob:
    """Raise an error of this package, or another one."""

    def fail(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
        if arguments["own"]:
            raise ModelError("block1 diverged")
        raise ZeroDivisionError("by nothing")

    return fail


def filling(shared: Mapping[str, Any]) -> DoesJob:
    """Write to a disk that is full."""

    def fill(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
        Path("/dev/full").write_text("x")
        return {}

    return fill


def sleeping(shared: Mapping[str, Any]) -> DoesJob:
    """Write the process's number to a file, and sleep for so many seconds."""

    def sleep(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
        Path(str(arguments["file"])).write_text(str(os.getpid()))
        time.sleep(float(arguments["seconds"]))
        return {}

    return sleep


def slowly_counting(shared: Mapping[str, Any]) -> DoesJob:
    """Count, two numbers a second, and keep every number; tell at which this attempt began."""

    def count(arguments: Mapping[str, Any], attempt: Attempt) -> ArrayTree:
        begun = attempt.checkpoint.read()
        start = int(begun["number"]) if begun else 0
        for number in range(start, int(arguments["numbers"])):
            time.sleep(0.5)
            attempt.checkpoint.write({"number": np.array(number + 1)})
        return {"began": np.array(start)}

    return count
