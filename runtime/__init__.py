"""On the device: scheduler, executors, switcher, and the `Runtime` that ties them together.

Planning alone (`Scheduler`, `ModelTable`) loads no TensorFlow Lite runtime.
"""

from __future__ import annotations

from legodnn.runtime.runtime import Runtime
from legodnn.runtime.scheduler import Scheduler
from legodnn.runtime.tables import ModelTable

__all__ = ["ModelTable", "Runtime", "Scheduler"]
