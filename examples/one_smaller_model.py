"""One smaller model instead of a store: half the multiply-accumulates, int8, as a .tflite file.

    python examples/one_smaller_model.py mymodel.keras photos.npz small.tflite

Needs the extra `train`. `legodnn compress` is the same from a shell.
"""

import sys

from legodnn.blocks.compression import compress
from legodnn.compression import compression_recipe

if len(sys.argv) != 4:
    sys.exit(__doc__)
model, data, out = sys.argv[1:]
recipe = compression_recipe(
    name="small", model=model, data=f"npz:{data}", measure="macs", shares=(0.5,), strategy="taylor", distill_epochs=3
)
found = compress(recipe, out, "int8")
before, after = found.before, found.after
print(f"{found.metric} {before.metric:.3f} -> {after.metric:.3f}, by {after.macs / before.macs:.0%} of the work")
print(f"{before.latency_ms:.3f} -> {after.latency_ms:.3f} ms, wrote {found.path}")
