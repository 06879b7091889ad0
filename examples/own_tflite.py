"""A .tflite file of your own, as it is, planned and run like any other model. Needs no TensorFlow.

    python examples/own_tflite.py face.tflite stores/face

`legodnn pack` makes the store, and wants to know how good the file is; `legodnn profile` does the second step.
"""

import subprocess
import sys
from pathlib import Path

from legodnn import Runtime
from legodnn.profile import default_path
from legodnn.profiler import QUICK, profile_store
from legodnn.store import Store

if len(sys.argv) != 3:
    sys.exit(__doc__)
file, folder = sys.argv[1:]
if not Path(folder).exists():  # a store is never written over
    subprocess.run([sys.executable, "-m", "legodnn", "pack", file, "--accuracy", "0.9", "--out", folder], check=True)
store = Store(folder)
profile_store(store, QUICK).save(default_path(folder))

with Runtime.open([folder]) as runtime:
    inputs = {spec.name: spec.zeros() for spec in store.manifest.inputs}  # your own arrays, by the names of the inputs
    answer = runtime.run(store.name, inputs)
    print(f"{answer.latency_ms:.3f} ms, {', '.join(f'{name} {y.shape}' for name, y in answer.outputs.items())}")
    print(runtime.plan)
