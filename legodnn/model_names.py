"""Names of models: files, functions and known names, checked without Keras, which takes seconds to import."""

from __future__ import annotations

from pathlib import Path

from legodnn.errors import ModelError

OURS = ("vgg16", "resnet18", "resnet20", "resnet56")
FILES = (".keras", ".h5", ".hdf5")
TFLITE = ".tflite"
ONNX = ".onnx"

_OTHERS = {
    ".pb": "is a graph alone: give the folder of its SavedModel, or a .keras, .h5 or .tflite file",
    **dict.fromkeys(
        (".pt", ".pth", ".pt2"),
        "is a PyTorch file, and may hold code: give module:function, a function of yours that loads and returns it, or "
        "the .onnx file that torch.onnx.export makes",
    ),
}


def check_model_name(spec: str) -> None:
    """Raise ModelError, with what to do, for a text that cannot name a model: a missing or unsuitable file, or a typo.

    A name that begins with a capital passes: it may be one in keras.applications, which only Keras can tell.
    """
    ending = Path(spec).suffix.lower()
    if spec.endswith(".weights.h5"):
        raise ModelError(
            f"{spec} holds weights alone: give the model as module:function, a file or a name, and these with --weights"
        )
    if ending in (*FILES, TFLITE, ONNX) and not spec.endswith(ending):
        raise ModelError(f"{spec}: files are known by names that end in {ending}; rename it")
    if ending in (*FILES, TFLITE, ONNX):
        if not Path(spec).is_file():
            raise ModelError(f"cannot load {spec}: {'it is a folder' if Path(spec).is_dir() else 'File not found'}")
    elif ending in _OTHERS:
        raise ModelError(f"{spec} {_OTHERS[ending]}")
    elif is_saved_model(spec):
        return
    elif ":" not in spec and spec not in OURS and not (spec[:1].isupper() and spec.isidentifier()):
        raise unknown_model(spec)


def is_saved_model(spec: str) -> bool:
    """Whether a path is the folder of a TensorFlow SavedModel."""
    return (Path(spec) / "saved_model.pb").is_file()


def is_function(spec: str) -> bool:
    """Whether a model is named `module:function`; paths of files and folders may have a colon too."""
    return ":" in spec and not spec.endswith((*FILES, TFLITE, ONNX)) and not is_saved_model(spec)


def unknown_model(spec: str) -> ModelError:
    """Return the error for a name that no model has."""
    unknown = "there is no file or folder" if "/" in spec and not Path(spec).exists() else "unknown model"
    return ModelError(
        f"{unknown} {spec!r:.200}; use a .keras, .h5, .tflite or .onnx file, the folder of a SavedModel, "
        f"module:function, one of {', '.join(OURS)}, or a name in keras.applications"
    )
