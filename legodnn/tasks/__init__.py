"""What models are for: objects from outputs, metrics of tasks, drawing. NumPy alone; Pillow to draw.

`decode` returns what a model found, by the reading that its store has (`legodnn.readings`).
"""

from __future__ import annotations

from legodnn.tasks.decoding import (
    Decoded,
    FoundAnomaly,
    FoundAreas,
    FoundBox,
    FoundClass,
    FoundPoint,
    decode,
)

__all__ = ["Decoded", "FoundAnomaly", "FoundAreas", "FoundBox", "FoundClass", "FoundPoint", "decode"]
