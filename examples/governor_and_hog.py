"""Other programs take memory, step by step, until the governor makes the models smaller.

    python examples/governor_and_hog.py stores/faces stores/scenes

So that little memory is enough to see it, all that is free now but 150 MB is declared a reserve; the default is 10 %.
"""

import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import Any

import psutil

from legodnn import Runtime
from legodnn.runtime import Governor, Policy

STEP, MOST_STEPS = 100_000_000, 20
HOG = [sys.executable, "-c", f"import sys; held = b'x' * {STEP}; sys.stdin.read()"]  # ends when its stdin is closed

memory = psutil.virtual_memory()
policy = Policy(reserve=max(0.0, (memory.available - 150_000_000) / memory.total))
shrunk = threading.Event()


def show(decision: dict[str, Any]) -> None:
    """Print what was decided, and remember that memory has become less."""
    for change in decision["changes"]:
        print(f"{change['what']}: {change['before']} -> {change['after']}, because {change['why']}")
        shrunk.set()


if len(sys.argv) < 2:
    sys.exit(__doc__)
with ExitStack() as running:
    runtime = running.enter_context(Runtime.open(sys.argv[1:]))
    print("at first:", runtime.plan)
    governor = Governor(runtime, policy, interval_s=0.2)
    governor.on_decision = show
    running.enter_context(governor)
    for step in range(MOST_STEPS):
        hog = running.enter_context(subprocess.Popen(HOG, stdin=subprocess.PIPE))
        print(f"{(step + 1) * STEP // 1_000_000} MB are taken")
        if shrunk.wait(1.0):
            break
    print("in the end:", runtime.plan)
