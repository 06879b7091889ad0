"""Measuring a store on this device: latency, memory and energy of its options, written as one JSON profile.

`measure` puts the stages together: `memory` weighs options in processes of their own, `latency` times them in place in
running compositions, `validation` holds predictions against random plans, `energy` reads meters, `contention` runs
models beside each other. What a profile is stands in `legodnn.profile`.
"""

from __future__ import annotations

from legodnn.profiler.measure import QUICK, Effort, profile_store, with_contention

__all__ = ["QUICK", "Effort", "profile_store", "with_contention"]
