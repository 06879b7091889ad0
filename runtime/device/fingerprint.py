"""The fingerprint of this device: everything about it that measurements depend on."""

from __future__ import annotations

import functools
import platform

from legodnn.profile import Fingerprint
from legodnn.runtime.device.processor import cpu_name, usable_cores


@functools.cache
def fingerprint(executor_name: str) -> Fingerprint:
    """Return processor, architecture and usable cores of this device, together with the executor that runs the blocks.

    Args:
        executor_name: what `legodnn.runtime.executors.select.executor_name` returns for the executor in use.
    """
    return Fingerprint(machine=platform.machine(), cpu=cpu_name(), cores=usable_cores(), executor=executor_name)
