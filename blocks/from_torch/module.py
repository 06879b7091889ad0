"""A PyTorch module of the user's own: it is exported here, converted by another process, and compared with the file.

PyTorch has channels first. The file has them last, as Keras and devices do: images that it takes and gives are (batch,
height, width, channels). litert-torch turns them where the module begins and ends, and the importer folds that away.
"""

from __future__ import annotations

import importlib.util
import inspect
import logging
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legodnn.arrays import Shape
from legodnn.errors import DependencyError, ModelError
from legodnn.processes import run_module
from legodnn.user_function import call_user, user_function

log = logging.getLogger("legodnn.blocks")

_SAMPLES = 2
_TOLERANCE = 1e-3  # of the file from the module: the root mean square of the difference, over that of the output
_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True, eq=False)
class ConvertedModule:
    """A module as a file, and what the module itself gives, for whoever reads the file to compare with.

    Attributes:
        content: the `.tflite` file. Its inputs have the names of the module's arguments.
        inputs: random inputs, each of shape (n, ...), channels last.
        outputs: what the module gives for them, likewise.
        output_names: the keys of a module that gives a dict; otherwise empty.
    """

    content: bytes
    inputs: tuple[NDArray[Any], ...]
    outputs: tuple[NDArray[Any], ...]
    output_names: tuple[str, ...]


def is_torch(made: Any) -> bool:
    """Whether what a function of the user's own gave is a PyTorch module or program, perhaps with example inputs."""
    torch = sys.modules.get("torch")
    of = made[0] if isinstance(made, tuple) and made else made
    return torch is not None and isinstance(of, torch.nn.Module | torch.export.ExportedProgram)


def torch_file(spec: str) -> bytes:
    """Return the `.tflite` file of the PyTorch module that a function of the user's own gives, with example inputs.

    Args:
        spec: `module:function`.

    Raises:
        ModelError: there is no such function, it gives something else, or see `convert_module`.
        DependencyError: litert-torch is not installed.
    """
    made = call_user(spec, user_function(spec, ModelError), ModelError)
    if not is_torch(made):
        raise ModelError(
            f"{spec} gave {type(made).__name__}, not a PyTorch module; give a .tflite file of other models"
        )
    return convert_module(made, spec).content


def keep_triton_out() -> None:
    """Have PyTorch go without Triton in a process that has loaded TensorFlow.

    Loaded second, Triton's library ends the process (SIGSEGV; Triton 3.8, TensorFlow 2.21). PyTorch loads it as soon as
    it exports a model, and uses it on GPUs alone.
    """
    if "tensorflow" in sys.modules:
        sys.modules.setdefault("triton", None)  # type: ignore[arg-type]  # makes `import triton` an ImportError


def convert_module(made: Any, name: str, input_shape: Shape | None = None) -> ConvertedModule:
    """Convert a PyTorch module to a `.tflite` file, in inference mode and float32.

    Args:
        made: a `torch.nn.Module`; or a pair of it and example inputs, each of one image: a tensor, a sequence of them,
            or a dict of them by the names of arguments; or a `torch.export.ExportedProgram`.
        name: what messages call it.
        input_shape: the shape of the module's one input, without the number of images and with channels first, such as
            (3, 224, 224), where no example inputs are given.

    Raises:
        ModelError: the module does not run on such inputs, cannot be exported or converted, or the file computes
            something else.
        DependencyError: litert-torch is not installed.
    """
    if importlib.util.find_spec("litert_torch") is None:
        raise DependencyError(
            f"{name} is a PyTorch model, which litert-torch converts; pip install 'legodnn[torch]', or give the .onnx "
            "file that torch.onnx.export makes of it"
        )
    torch: Any = sys.modules["torch"]
    module, examples, positional = _with_examples(torch, made, name, input_shape)
    wrapped, samples = _channels_last(torch, module, positional), _samples(torch, examples)
    try:
        with torch.no_grad():
            found = [wrapped(**{k: x[i : i + 1] for k, x in samples.items()}) for i in range(_SAMPLES)]
            one = {k: x[:1].clone() for k, x in samples.items()}
            program = torch.export.export(wrapped, (), one, strict=False)
    except Exception as e:  # the module is the user's code, and PyTorch raises errors of many kinds
        raise ModelError(f"{name} cannot be exported by torch.export: {_one_line(e)}") from None
    outputs = tuple(np.concatenate([y[i].numpy() for y in found]) for i in range(len(found[0])))
    inputs = {k: x.numpy() for k, x in samples.items()}
    log.info("%s is converted to a .tflite file, which takes from seconds to a few minutes", name)
    content, from_file = _converted(torch, program, inputs, name)
    if len(from_file) != len(outputs):
        raise ModelError(f"{name} has {len(outputs)} outputs, and the file that litert-torch made {len(from_file)}")
    for number, (wanted, y) in enumerate(zip(outputs, from_file, strict=True), 1):
        if not (difference := _difference(y, wanted)) <= _TOLERANCE:
            raise ModelError(
                f"{name}: output {number} of the file that litert-torch made differs from PyTorch's by {difference:.2g}"
            )
    return ConvertedModule(content, tuple(inputs.values()), outputs, tuple(wrapped.names))


def _with_examples(torch: Any, made: Any, name: str, input_shape: Shape | None) -> tuple[Any, Mapping[str, Any], int]:
    """Return a module, an example of each input by name, and how many of them are given by their position."""
    of, given = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if isinstance(of, torch.export.ExportedProgram):
        args, kwargs = of.example_inputs or (None, {})
        module, given = of.module(), args if given is None else given
    elif isinstance(of, torch.nn.Module):
        module, kwargs = of.eval().cpu().float(), {}
    else:
        raise ModelError(f"{name} gave a tuple of {len(made)}; return the module, or (module, example_inputs)")
    if given is None:
        if input_shape is None:
            raise ModelError(
                f"{name} gives a PyTorch module, which does not say what it takes: return (module, example_inputs), or "
                "give its input's shape where a command has that flag, channels first: --input-shape 3,224,224"
            )
        given = torch.zeros(1, *input_shape)
    elif input_shape is not None:
        raise ModelError(f"{name} gives example inputs, and an input shape is given too: leave one of them out")
    if isinstance(given, Mapping):
        given, kwargs = (), dict(given)
    args = (given,) if isinstance(given, torch.Tensor) else tuple(given)
    examples = {**dict(zip(_argument_names(of, len(args)), args, strict=True)), **kwargs}
    for key, x in examples.items():
        if not isinstance(x, torch.Tensor) or x.ndim < 1 or x.shape[0] != 1:
            shape = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise ModelError(f"{name}: example input {key!r} is {shape}, not a tensor of one image, shape (1, ...)")
    return module, examples, len(args)


def _argument_names(of: Any, count: int) -> list[str]:
    """Return what a module or program calls its first arguments."""
    if not hasattr(of, "forward"):  # an exported program
        return [str(found) for found in of.graph_signature.user_inputs[:count]]
    found = [p.name for p in inspect.signature(of.forward).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    return [found[i] if i < len(found) else f"x{i}" for i in range(count)]


def _channels_last(torch: Any, module: Any, positional: int) -> Any:
    """Return a module that takes images by name, and takes and gives them with channels last."""

    class ChannelsLast(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = module
            self.names: tuple[str, ...] = ()

        def forward(self, **images: Any) -> Any:
            given = {k: x.permute(*_TO_FIRST) if x.ndim == 4 else x for k, x in images.items()}
            args, names = list(given.values())[:positional], list(given)[positional:]
            found = self.inner(*args, **{k: given[k] for k in names})
            if isinstance(found, Mapping):
                found = {k: y for k, y in found.items() if y is not None}
                self.names, found = tuple(map(str, found)), list(found.values())
            outputs = list(found) if isinstance(found, list | tuple) else [found]
            return tuple(y.permute(*_TO_LAST) if y.ndim == 4 else y for y in outputs)

    return ChannelsLast()


def _samples(torch: Any, examples: Mapping[str, Any]) -> dict[str, Any]:
    """Return random inputs of the shapes of examples, channels last; inputs of integers repeat the examples."""
    generator, found = torch.Generator().manual_seed(0), {}
    for key, x in examples.items():
        shape = (_SAMPLES, *(x.shape[i] for i in (_TO_LAST if x.ndim == 4 else range(x.ndim))[1:]))
        if x.is_floating_point():
            found[key] = torch.randn(shape, generator=generator)
        else:
            turned = x.permute(*_TO_LAST) if x.ndim == 4 else x
            found[key] = turned.expand(shape).contiguous()
    return found


def _converted(
    torch: Any, program: Any, inputs: Mapping[str, NDArray[Any]], name: str
) -> tuple[bytes, list[NDArray[Any]]]:
    """Return the file that another process makes of a program, and what it gives for inputs."""
    with tempfile.TemporaryDirectory(prefix="legodnn-") as temporary:
        folder = Path(temporary)
        torch.export.save(program, folder / "program.pt2")
        np.savez(folder / "inputs.npz", **inputs)  # type: ignore[arg-type]
        done = run_module("legodnn.blocks.from_torch.conversion", str(folder))
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            reason = lines[-1] if lines else f"its process ended with {done.returncode}"
            raise ModelError(
                f"{name} cannot be converted by litert-torch: {reason:.300}; give the .onnx file that "
                "torch.onnx.export makes of it"
            )
        with np.load(folder / "outputs.npz") as outputs:
            found = [outputs[key] for key in sorted(outputs, key=lambda key: int(key.rpartition("_")[2]))]
        return (folder / "model.tflite").read_bytes(), found


def _difference(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Return the root mean square of the difference over that of what is wanted."""
    if found.shape != wanted.shape or (np.isfinite(found) != np.isfinite(wanted)).any():
        return float("inf")
    gap = np.where(np.isfinite(wanted), found.astype(np.float64) - wanted, 0)
    scale = np.sqrt(np.mean(np.square(np.where(np.isfinite(wanted), wanted, 0), dtype=np.float64)))
    return float(np.sqrt(np.mean(np.square(gap))) / max(float(scale), 1e-30))


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]:.200}"
