"""Two models that run without end under a governor, and tell every quarter of a second how they are.

    python -m tests.pi.governed STORE...        ends with its input; beside each store lies STORE.npz with its outputs

A process of its own: what makes memory scarce must not be a child of it, since a process's children count as its own.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from legodnn import Budget, InfeasibleError, Runtime
from legodnn.plan import Plan
from legodnn.runtime import Governor
from tests.pi.compositions import composition_name, input_of, load_outputs

_PAUSE_S = 0.02  # between inferences, so that the machine does other things as well


def main() -> None:
    """Run the models, and print a line of JSON at every look at them."""
    stores = [Path(argument) for argument in sys.argv[1:]]
    expected = {store.name: load_outputs(store) for store in stores}
    ended = threading.Event()
    seen = {name: [0, 0.0, 0.0] for name in expected}  # inferences, the greatest difference, the longest wait
    changes: deque[dict[str, Any]] = deque()

    def infer(name: str) -> None:
        store, last, counts = runtime.stores[name], time.monotonic(), seen[name]
        (x,) = input_of(store).values()
        while not ended.wait(_PAUSE_S):
            done = runtime.run(name, x)
            ran = {s.name: done.plan.options.get(s.name, s.options[0].name) for s in store.manifest.segments}
            (output,) = done.outputs.values()
            counts[0] += 1
            counts[1] = max(counts[1], float(np.abs(output - expected[name][composition_name(ran)]).max()))
            now = time.monotonic()
            counts[2], last = max(counts[2], now - last), now

    def wait_for_end() -> None:
        sys.stdin.read()
        ended.set()

    with Runtime.open(stores) as runtime:
        governor = Governor(runtime)
        governor.on_decision = lambda line: changes.extend(line["changes"])
        smallest = _options(_smallest(runtime))
        with governor:
            threads = [threading.Thread(target=infer, args=(name,)) for name in expected]
            for thread in threads:
                thread.start()
            threading.Thread(target=wait_for_end, daemon=True).start()
            while not ended.wait(0.25):
                told = [changes.popleft() for _ in range(len(changes))]
                waited = max(counts[2] for counts in seen.values())
                for counts in seen.values():
                    counts[2] = 0.0
                line = {
                    "options": _options(runtime.plan),
                    "smallest": smallest,
                    "inferences": sum(counts[0] for counts in seen.values()),
                    "difference": max(counts[1] for counts in seen.values()),
                    "waited_s": waited,
                    "changes": told,
                }
                print(json.dumps(line), flush=True)
            for thread in threads:
                thread.join()


def _options(plan: Plan) -> dict[str, Any]:
    return {model.name: None if model.suspended else dict(model.options) for model in plan.models}


def _smallest(runtime: Runtime) -> Plan:
    """Return the plan that runs where there is no memory at all."""
    try:
        return runtime.scheduler.plan(Budget(memory_bytes=1))
    except InfeasibleError as e:
        if e.report.nearest is None:
            raise
        return e.report.nearest


if __name__ == "__main__":
    main()
