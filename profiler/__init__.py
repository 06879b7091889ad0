"""The profiler measures a store on this device: latency, memory and energy of its options, as one JSON profile.

`measure` puts the stages together: `packing` times the packing of weights, `memory` weighs options in processes of
their own, `latency` times them in running compositions, `validation` compares predictions with measured compositions,
`energy` reads one of the `meters`. `contention` measures how models slow each other down. What a profile holds is
defined in `legodnn.profile`.
"""

from __future__ import annotations

from legodnn.profiler.contention import with_contention
from legodnn.profiler.effort import QUICK, Effort
from legodnn.profiler.measure import profile_store

__all__ = ["QUICK", "Effort", "profile_store", "with_contention"]
