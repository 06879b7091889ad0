"""On the device: scheduler, executors, switcher, and the `Runtime` that ties them together; and the `Governor` that
sets its budget as memory, load and heat change.

Planning alone (`Scheduler`, `ModelTable`) loads no TensorFlow Lite runtime.
"""

from __future__ import annotations

from legodnn.runtime.governor import Governor
from legodnn.runtime.policy import Policy
from legodnn.runtime.runtime import Runtime
from legodnn.runtime.scheduler import Scheduler
from legodnn.runtime.tables import ModelTable

__all__ = ["Governor", "ModelTable", "Policy", "Runtime", "Scheduler"]
