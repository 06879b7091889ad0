"""LegoDNN: run several vision DNNs at once on devices whose free memory and compute keep changing.

The names here are what an application on a device needs; the offline stage is `legodnn.blocks`. Importing this
package imports neither Keras nor a TensorFlow Lite runtime: names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legodnn.errors import InfeasibleError as InfeasibleError
    from legodnn.errors import LegoError as LegoError
    from legodnn.plan import Plan as Plan
    from legodnn.profile import Profile as Profile
    from legodnn.runtime import Runtime as Runtime
    from legodnn.store import Store as Store
    from legodnn.workload import Budget as Budget
    from legodnn.workload import Workload as Workload

__version__ = "0.1.0"
_HOME = {
    "Budget": "legodnn.workload",
    "InfeasibleError": "legodnn.errors",
    "LegoError": "legodnn.errors",
    "Plan": "legodnn.plan",
    "Profile": "legodnn.profile",
    "Runtime": "legodnn.runtime",
    "Store": "legodnn.store",
    "Workload": "legodnn.workload",
}
__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'legodnn' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
