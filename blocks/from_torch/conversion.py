"""The program that converts an exported PyTorch program to a `.tflite` file, by litert-torch.

    python -m legodnn.blocks.from_torch.conversion FOLDER

It has a process of its own: the converter is native code that may end the process, and it brings libraries that
TensorFlow has too. FOLDER holds `program.pt2` and `inputs.npz`, arrays of shape (n, ...) by the names of the inputs;
`model.tflite` and `outputs.npz`, what that file gives for these inputs, are written there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

_SIGNATURE = "serving_default"


def convert_program(folder: Path) -> None:
    """Convert the program in a folder, and run the file that comes out."""
    import litert_torch
    import torch
    from ai_edge_litert.interpreter import Interpreter

    program = torch.export.load(folder / "program.pt2")
    examples = program.example_inputs[1]
    content: bytes = litert_torch.convert(program.module(), sample_kwargs=examples).model_content()
    (folder / "model.tflite").write_bytes(content)
    run = Interpreter(model_content=content).get_signature_runner(_SIGNATURE)
    with np.load(folder / "inputs.npz") as inputs:
        count = len(next(iter(inputs.values())))
        found = [run(**{name: inputs[name][i : i + 1] for name in examples}) for i in range(count)]
    outputs = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    np.savez(folder / "outputs.npz", **outputs)  # type: ignore[arg-type]


if __name__ == "__main__":
    convert_program(Path(sys.argv[1]))
