"""Measuring a store on this device: latency and memory of every option, written as one JSON profile.

`latency` times options in place in running compositions, `memory` weighs them in processes of their own, `measure`
puts both together. What a profile is stands in `legodnn.profile`.
"""

from __future__ import annotations

from legodnn.profiler.measure import profile_store

__all__ = ["profile_store"]
