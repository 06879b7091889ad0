"""TensorFlow's oneDNN kernels write outside their memory in the weight gradient of a strided 1x1 convolution.

    python docs/reports/onednn_strided_pointwise.py          # TensorFlow alone; ends by a signal where the fault is
    python docs/reports/onednn_strided_pointwise.py --all    # which shapes end a process, each in one of its own

See onednn_strided_pointwise.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

# Input (images, height, width, channels), filters, kernel, stride; and variables of the environment.
CASES = [
    *((1, 32, channels, 16, 1, 2, {}) for channels in (1, 3, 7, 8, 12, 15, 16, 17, 20, 24, 31)),
    *((11, 32, channels, 16, 1, 2, {}) for channels in (4, 8, 16, 24)),
    (1, 16, 8, 16, 1, 2, {}),
    (11, 32, 8, 8, 1, 2, {}),
    (11, 32, 8, 32, 1, 2, {}),
    (11, 32, 8, 16, 1, 1, {}),
    (11, 32, 8, 16, 3, 2, {}),
    *((11, 32, 8, 16, 1, 2, {"ONEDNN_MAX_CPU_ISA": isa}) for isa in ("SSE41", "AVX2", "AVX512_CORE")),
    (11, 32, 8, 16, 1, 2, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
]


def provoke(images: int, size: int, channels: int, filters: int, kernel: int, stride: int) -> None:
    """Compute the weight gradient of one convolution 300 times."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import tensorflow as tf

    out = -(-(size - kernel + 1) // stride)
    for _ in range(300):
        tf.raw_ops.Conv2DBackpropFilter(
            input=tf.random.normal((images, size, size, channels)),
            filter_sizes=[kernel, kernel, channels, filters],
            out_backprop=tf.random.normal((images, out, out, filters)),
            strides=[1, stride, stride, 1],
            padding="VALID",
        )


def main() -> None:
    """Provoke it here, or try every case in a process of its own and print how each ended."""
    if sys.argv[1:2] == ["--case"]:
        provoke(*json.loads(sys.argv[2]))
    elif sys.argv[1:] == ["--all"]:
        for *case, environment in CASES:
            command = [sys.executable, __file__, "--case", json.dumps(case)]
            ended = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False)
            print(json.dumps({"case": case, **environment, "status": ended.returncode}), flush=True)
    else:
        provoke(11, 32, 8, 16, 1, 2)
        print("no fault on this machine")


if __name__ == "__main__":
    main()
