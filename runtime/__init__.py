"""Running models on the device.

`Runtime` plans, loads and runs several models under one budget; `Governor` sets that budget as memory, load and heat
change, by the rules of a `Policy` with its `Hysteresis`. `Scheduler` finds plans from `ModelTable`s. Importing this and
planning loads no TensorFlow Lite runtime.
"""

from __future__ import annotations

from legodnn.runtime.governing.governor import Governor
from legodnn.runtime.governing.hysteresis import Hysteresis
from legodnn.runtime.governing.policy import Policy
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.runtime import Runtime

__all__ = ["Governor", "Hysteresis", "ModelTable", "Policy", "Runtime", "Scheduler"]
