"""LiteRT's C API, called through ctypes from the library inside the ai-edge-litert package.

Calls release the GIL, and models read and write the memory of the arrays that are given as tensors. The API is not
declared stable: what is assumed of it (struct layouts, sequence of calls) is tested once in each process on a small
model (`self_test`), and `capi_problem` says why it cannot be used. Run as a program, this module makes that test alone.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from legodnn import processes
from legodnn.arrays import AnyArray
from legodnn.errors import CApiError, ClosedError
from legodnn.lifetime import release_with
from legodnn.native_stderr import native_stderr_silenced
from legodnn.runtime.executors import address_space
from legodnn.runtime.executors.base import log

_PACKAGE = "ai-edge-litert"
_TESTED_VERSIONS = ("2.3.",)  # of others the self-test is first run in a process of its own
_CPU = 1  # kLiteRtHwAcceleratorCpu
_REGISTER, _SEVERITY, _SILENT, _INT = 24, 25, 4, 2  # tags and values of environment options
# XNNPACK's flags: those that LiteRT sets by itself (int8, uint8, and weights that are computed), and the one by which
# convolutions and poolings make the addresses that they read anew in each inference, in memory that all of them share.
_COMPACT_FLAGS = 0x01 | 0x02 | 0x08 | 0x20
_ELEMENTS = {"float32": 1, "int32": 2, "uint8": 3, "int64": 4, "int8": 9}  # element types by name


class _Value(ctypes.Structure):
    _fields_ = (("type", c_int32), ("value", c_int64))


class _EnvironmentOption(ctypes.Structure):
    _fields_ = (("tag", c_int32), ("value", _Value))


class _TensorType(ctypes.Structure):
    _fields_ = (("element", c_int32), ("rank", c_uint32), ("dims", c_int32 * 8), ("strides", c_uint32 * 8))


_SIZES = {_EnvironmentOption: 24, _TensorType: 72}

_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "LiteRtCreateEnvironment": (c_int, POINTER(_EnvironmentOption), POINTER(c_void_p)),
    "LiteRtCreateModelFromBuffer": (c_void_p, c_void_p, c_size_t, POINTER(c_void_p)),
    "LiteRtCreateOptions": (POINTER(c_void_p),),
    "LiteRtSetOptionsHardwareAccelerators": (c_void_p, c_int),
    "LiteRtCreateOpaqueOptions": (c_char_p, c_void_p, c_void_p, POINTER(c_void_p)),
    "LiteRtAddOpaqueOptions": (c_void_p, c_void_p),
    "LiteRtCreateCompiledModel": (c_void_p, c_void_p, c_void_p, POINTER(c_void_p)),
    "LiteRtCreateTensorBufferFromHostMemory": (POINTER(_TensorType), c_void_p, c_size_t, c_void_p, POINTER(c_void_p)),
    "LiteRtRunCompiledModel": (c_void_p, c_size_t, c_size_t, POINTER(c_void_p), c_size_t, POINTER(c_void_p)),
}
_DESTROYERS = ("LiteRtDestroyCompiledModel", "LiteRtDestroyModel", "LiteRtDestroyOptions", "LiteRtDestroyTensorBuffer")


def capi_version() -> str:
    """Return the version of the package; PackageNotFoundError if it is not installed."""
    return metadata.version(_PACKAGE)


def capi_name() -> str:
    """Return what fingerprints call this executor."""
    return f"{_PACKAGE} {capi_version()} C API"


@functools.cache
def capi_problem() -> str | None:
    """Return why the C API cannot be used here; None if it can be used.

    If the library is installed and does not work as expected, a warning is logged as well.
    """
    try:
        found = capi_version()
    except metadata.PackageNotFoundError:
        return f"{_PACKAGE} is not installed"
    try:
        if not found.startswith(_TESTED_VERSIONS):
            _self_test_outside()
        self_test()
    except (OSError, AttributeError, CApiError) as e:
        log.warning("%s %s is called through the Interpreter, slower to switch: %s", _PACKAGE, found, e)
        return f"{_PACKAGE} {found}: {e}"
    return None


def _self_test_outside() -> None:
    """Make the self-test in a process of its own, which another version's struct layouts might crash."""
    done = processes.run_module("legodnn.runtime.executors.litert_capi")
    if done.returncode:
        raise CApiError(f"the self-test ended with status {done.returncode}")


def self_test() -> None:
    """Run a small model (1x1 convolution and ReLU) and compare its output with NumPy's.

    Raises:
        CApiError: a call fails, or the result is wrong.
        OSError, AttributeError: the library or one of its functions is missing.
    """
    for struct, size in _SIZES.items():
        if ctypes.sizeof(struct) != size:
            raise CApiError(f"{struct.__name__} has {ctypes.sizeof(struct)} bytes instead of {size}")
    content = np.fromfile(Path(__file__).with_name("selftest.tflite"), np.uint8)
    memory = np.zeros(1024, np.float32)
    aligned = memory[-memory.ctypes.data % 64 // 4 :]
    x, y = aligned[:32].reshape(1, 4, 4, 2), aligned[64:112].reshape(1, 4, 4, 3)
    x[:] = np.linspace(-1, 1, 32).reshape(x.shape)
    with native_stderr_silenced():  # the first delegate of a process announces itself
        model = CApiModel(content.ctypes.data, len(content), threads=1)
    try:
        tensors = [CApiTensor(x), CApiTensor(y)]
        model.call(0, tensors[:1], tensors[1:])()
        expected = np.maximum(
            x @ np.array([[1, -2, 3], [-4, 5, -6]], np.float32) + np.array([0.5, -0.25, 0.125], np.float32), 0
        )
        if not np.allclose(y, expected, atol=1e-5):
            raise CApiError("the self-test's result is wrong")
    finally:
        model.close()


class _Library:
    """The loaded library, its functions, and its one environment, which lives as long as the process."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
        folders = list(spec.submodule_search_locations or ()) if spec else []
        self.functions = ctypes.CDLL(str(Path(folders[0] if folders else ".") / "libLiteRt.so"))
        for function, arguments in _FUNCTIONS.items():
            getattr(self.functions, function).argtypes = arguments
        for function in _DESTROYERS:
            getattr(self.functions, function).argtypes, getattr(self.functions, function).restype = (c_void_p,), None
        c = ctypes.CDLL(None)
        self.malloc, self.free = c.malloc, ctypes.cast(c.free, c_void_p)
        self.malloc.restype, self.malloc.argtypes = c_void_p, (c_size_t,)
        options = (_EnvironmentOption * 2)()
        for option, (tag, value) in zip(options, ((_REGISTER, _CPU), (_SEVERITY, _SILENT)), strict=True):
            option.tag, option.value.type, option.value.value = tag, _INT, value
        self.environment = self.create("LiteRtCreateEnvironment", len(options), options)

    def check(self, function: str, *arguments: Any) -> None:
        """Call a function. CApiError unless the status that it returns is 0."""
        if status := getattr(self.functions, function)(*arguments):
            raise CApiError(f"{function} failed with status {status}")

    def create(self, function: str, *arguments: Any) -> c_void_p:
        """Call a function that creates something; return the handle, which it passes through its last argument."""
        handle = c_void_p()
        self.check(function, *arguments, byref(handle))
        return handle

    def text(self, value: str) -> c_void_p:
        """Return a C string in memory that the library will free."""
        data = value.encode() + b"\0"
        address = self.malloc(len(data))
        ctypes.memmove(address, data, len(data))
        return c_void_p(address)


@functools.cache
def _library() -> _Library:
    return _Library()


class CApiTensor:
    """An array that models read and write, of one of `_ELEMENTS`: C-contiguous, its address a multiple of 64."""

    def __init__(self, array: AnyArray) -> None:
        self.array = array
        kind = _TensorType(element=_ELEMENTS[array.dtype.name], rank=array.ndim)
        kind.dims[: array.ndim] = array.shape
        address = c_void_p(array.ctypes.data)
        library = _library()
        self.handle = library.create("LiteRtCreateTensorBufferFromHostMemory", byref(kind), address, array.nbytes, None)
        release_with(self, library.functions.LiteRtDestroyTensorBuffer, self.handle)


class SignatureCall:
    """One signature of a model, bound to tensors. Calls of one model must not overlap."""

    def __init__(
        self, model: CApiModel, signature: int, inputs: Sequence[CApiTensor], outputs: Sequence[CApiTensor]
    ) -> None:
        self._model, self._kept = model, (inputs, outputs)
        self._run = _library().functions.LiteRtRunCompiledModel
        self._arguments = (
            model.handle,
            signature,
            len(inputs),
            (c_void_p * len(inputs))(*(t.handle for t in inputs)),
            len(outputs),
            (c_void_p * len(outputs))(*(t.handle for t in outputs)),
        )

    def __call__(self) -> None:
        """Run the signature once. CApiError if it fails, ClosedError if the model has been closed."""
        if self._model.handle is None:
            raise ClosedError("this composition's model is closed; compose again")
        if status := self._run(*self._arguments):
            raise CApiError(f"LiteRtRunCompiledModel failed with status {status}")


class CApiModel:
    """A compiled model. It is destroyed when it is closed or dropped.

    Args:
        address: where the content of the `.tflite` file lies in memory; it must stay there.
        size: bytes of the content.
        threads: the number of threads that XNNPACK runs with.
        weights: the file descriptor of packed weights, which is duplicated; or the path of a file that packed weights
            are to be written to; None packs them in memory.
        compact: do not keep the addresses that convolutions read. Packed weights are for this or for its opposite.
        content: an object that owns the memory of the content; it is kept as long as the model.

    Raises:
        CApiError: the library refuses the model.
        ExecutionError: address space is short.
    """

    def __init__(
        self,
        address: int,
        size: int,
        threads: int,
        weights: int | Path | None = None,
        compact: bool = False,
        content: object = None,
    ) -> None:
        library = _library()
        self.content: object = content
        address_space.check_room(os.fstat(weights).st_size if isinstance(weights, int) else size, threads)
        options = [f"num_threads = {threads}"]
        if compact:
            options.append(f"flags = {_COMPACT_FLAGS}")
        if isinstance(weights, Path):
            options.append(f'weight_cache_file_path = "{weights}"')
        model = library.create("LiteRtCreateModelFromBuffer", library.environment, c_void_p(address), size)
        try:
            descriptor = weights if isinstance(weights, int) else None
            self.handle: c_void_p | None = _compile(library, model, options, descriptor)
        except BaseException:
            library.functions.LiteRtDestroyModel(model)
            raise
        self._destroy = release_with(self, _destroy_model, library, self.handle, model, content)

    def call(self, signature: int, inputs: Sequence[CApiTensor], outputs: Sequence[CApiTensor]) -> SignatureCall:
        """Bind a signature, given by its number, to tensors in the order of its inputs and outputs."""
        return SignatureCall(self, signature, inputs, outputs)

    def close(self) -> None:
        """Destroy the model, unless that has been done. Its calls cannot be run again."""
        self.handle = self.content = None
        self._destroy()


def _compile(library: _Library, model: c_void_p, options: Sequence[str], weights: int | None) -> c_void_p:
    """Compile a model; return its handle. `weights` is the file descriptor of its packed weights, if there are any."""
    settings = library.create("LiteRtCreateOptions")
    descriptor = None
    try:
        library.check("LiteRtSetOptionsHardwareAccelerators", settings, _CPU)
        if weights is not None:
            descriptor = os.dup(weights)  # the library closes it, unless it fails before that
            options = [*options, f"weight_cache_file_descriptor = {descriptor}"]
        text = library.text("\n".join(options) + "\n")
        opaque = library.create("LiteRtCreateOpaqueOptions", b"xnnpack", text, library.free)
        library.check("LiteRtAddOpaqueOptions", settings, opaque)
        return library.create("LiteRtCreateCompiledModel", library.environment, model, settings)
    except BaseException:
        if descriptor is not None and weights is not None and _same_file(descriptor, weights):
            os.close(descriptor)
        raise
    finally:
        library.functions.LiteRtDestroyOptions(settings)


def _same_file(one: int, other: int) -> bool:
    """Whether both descriptors are open, on one file."""
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False


def _destroy_model(library: _Library, handle: c_void_p, model: c_void_p, _: object) -> None:
    library.functions.LiteRtDestroyCompiledModel(handle)
    library.functions.LiteRtDestroyModel(model)


if __name__ == "__main__":
    self_test()
