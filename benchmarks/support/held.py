"""What a model holds in a fresh process, by kind of memory, as JSON.

    python benchmarks/support/held.py STORE originals
    python benchmarks/support/held.py STORE smallest
    python benchmarks/support/held.py STORE interpreter

`originals` and `smallest` are compositions of a store, as the runtime runs them. `interpreter` is what one does without
this package: the one file of the undivided model (in STORE.whole) in the public `Interpreter`. Each process first runs
the smallest file once, so that the library's own memory counts as no model's; figures are what it holds more after two
inferences. Of the C library's heap what is allocated counts, not its pages: for models as small as these, pages depend
on where the heap happened to have room.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.interpreter import open_interpreter
from legodnn.runtime.executors.select import open_executor, warm_up
from legodnn.store import Store

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)")


class _Allocated(ctypes.Structure):
    """What glibc's `mallinfo2` returns."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


_C = ctypes.CDLL(None)
_C.mallinfo2.restype = _Allocated


def kinds() -> Counter[str]:
    """Return the bytes that this process holds: allocated ones, pages of packed weights, pages of the store's files."""
    found, path = Counter[str](), ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if mapping := _MAPPING.fullmatch(line):
            path = mapping[1]
        elif line.startswith("Pss:") and path.endswith(("weights.packed", ".tflite")):
            found["packed weights" if path.endswith("packed") else "files"] += 1024 * int(line.split()[1])
    allocated = _C.mallinfo2()
    found["allocated"] = allocated.uordblks + allocated.hblkhd
    return found


def interpreted(file: Path) -> Any:
    """Open a file in an `Interpreter`, run it twice, and return it."""
    interpreter = open_interpreter(1, model_path=str(file))
    for _ in range(2):
        for found in interpreter.get_input_details():
            interpreter.set_tensor(found["index"], np.zeros(found["shape"], found["dtype"]))
        interpreter.invoke()
        for found in interpreter.get_output_details():
            interpreter.get_tensor(found["index"])
    return interpreter


def composed(store: Store, smallest: bool) -> Any:
    """Compose the originals of a store, or its smallest options, run the model twice, and return what must be kept."""
    executor = open_executor(store)
    options = [min(s.options, key=lambda o: o.bytes) if smallest else s.original for s in store.manifest.segments]
    choices = tuple(Choice(s.name, o.name, 1) for s, o in zip(store.manifest.segments, options, strict=True))
    model = executor.compose(choices)
    for _ in range(2):
        model.run({spec.name: spec.zeros() for spec in store.manifest.inputs})
    return executor, model


def main(path: str, what: str) -> None:
    """Print what a store's model holds."""
    gc.disable()
    store = Store(path)
    if what == "interpreter":
        smallest = min((o for s in store.manifest.segments for o in s.options), key=lambda o: o.bytes)
        interpreted(store.path / smallest.file)
        gc.collect()
    else:
        warm_up(store)
    kinds()  # reading takes memory the first time
    before = kinds()
    if what == "interpreter":
        kept = interpreted(Path(f"{path}.whole") / "whole.tflite")
    else:
        kept = composed(store, what == "smallest")
    gc.collect()
    after = kinds()
    del kept
    more = {name: after[name] - before[name] for name in after}
    print(json.dumps({**more, "all": sum(more.values())}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
