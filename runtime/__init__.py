"""On the device: scheduler, executors, switcher, and the `Runtime` that ties them together; and the `Governor` that
sets its budget as memory, load and heat change.

Planning alone (`Scheduler`, `ModelTable`) loads no TensorFlow Lite runtime.
"""

from __future__ import annotations

from legodnn.runtime.governing.governor import Governor
from legodnn.runtime.governing.policy import Policy
from legodnn.runtime.planning.model_table import ModelTable
from legodnn.runtime.planning.scheduler import Scheduler
from legodnn.runtime.runtime import Runtime

__all__ = ["Governor", "ModelTable", "Policy", "Runtime", "Scheduler"]
