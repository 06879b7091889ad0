"""Stores of untrained networks for benchmarks of the runtime: time and memory do not depend on the weights' values.

    store = untrained.build("resnet18", Path("stores/resnet18"))
    whole = untrained.undivided(Path("stores/resnet18"))

    switched = untrained.one_block("resnet18", Path("stores/resnet18"))
    both = untrained.both_precisions("resnet18", Path("stores/resnet18"))
    int8 = untrained.int8_compositions("resnet18", Path("stores/resnet18"))

`whole` is the same model with the same weights, as a store of one segment; `switched` has whole models of every
sparsity as the options of one block, `both` the model in float32 and int8, and `int8` the model in int8, whole and in
blocks. Building needs `legodnn[train]`, measuring does not: for a device without TensorFlow, stores are built on a
workstation and copied.

    python benchmarks/support/untrained.py stores             # all of them
    python benchmarks/support/untrained.py stores resnet18
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legodnn.files import new_folder, sha256_bytes, write_atomic
from legodnn.manifest import (
    MANIFEST,
    AccuracyModel,
    BuildInfo,
    InputSpec,
    Link,
    Manifest,
    ModelInfo,
    Option,
    Segment,
    TensorSpec,
)
from legodnn.schema import to_json
from legodnn.store import Store

if TYPE_CHECKING:
    import keras

SPARSITIES = (0.5, 0.75)
MODELS = ("resnet18", "vgg16", "vgg16-half", "resnet50", "unet", "vgg16-quarter", "resnet18-eighth")


def model(name: str) -> keras.Model:
    """Return a network with random weights.

    They are ResNet-18, -20, -56 or VGG16 for 32x32 images, ResNet-50 or MobileNetV2 for 224x224, or a U-Net for
    96x128. A quarter and an eighth of the channels are what `legodnn demo` builds.
    """
    import keras

    from legodnn.blocks.zoo import resnet18, resnet20, resnet56, vgg16

    keras.utils.set_random_seed(0)
    if name == "resnet50":
        return keras.applications.ResNet50(weights=None, input_shape=(224, 224, 3), classifier_activation=None)
    if name == "mobilenetv2":
        return keras.applications.MobileNetV2((224, 224, 3), weights=None, classifier_activation=None)
    if name == "unet":
        from support.networks import unet

        return unet((96, 128, 3))
    return {
        "resnet18": resnet18,
        "resnet20": resnet20,
        "resnet56": resnet56,
        "resnet18-eighth": lambda: resnet18(width=0.125),
        "vgg16": vgg16,
        "vgg16-half": lambda: vgg16(width=0.5),
        "vgg16-quarter": lambda: vgg16(width=0.25),
    }[name]()


def undivided(path: Path) -> Store:
    """Return the store of the undivided model that was built with the store at `path`."""
    return Store(path.with_name(f"{path.name}.whole"))


def build(name: str, path: Path) -> Store:
    """Return the store at `path`; build it if it is not there."""
    if path.exists():
        return Store(path)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from legodnn.blocks.cutting.extract import extract
    from legodnn.blocks.export.convert import convert
    from legodnn.blocks.importing.macs import macs
    from legodnn.blocks.pruning.prune import descendant

    whole = model(name)
    pieces = extract(whole, max_blocks=16)
    files: dict[str, bytes] = {}
    segments: list[Segment] = []
    for piece in pieces:
        options: list[Option] = []
        for sparsity in (0.0, *SPARSITIES) if piece.kind == "block" else (0.0,):
            variant: Any = descendant(piece.model, sparsity) if sparsity else piece.model
            file = f"{piece.name}/s{sparsity:g}.tflite"
            files[file] = convert(variant)
            options.append(_option(file, files[file], sparsity, variant.count_params(), macs(variant)))
        segments.append(
            Segment(
                name=piece.name, kind=piece.kind, inputs=piece.inputs, outputs=piece.outputs, options=tuple(options)
            )
        )
    shapes = {n: tuple(t.shape[1:]) for p in pieces for n, t in zip(p.outputs, p.model.outputs, strict=True)}
    image = InputSpec(name=pieces[0].inputs[0], shape=tuple(whole.input_shape[1:]))
    content, outputs = convert(whole), pieces[-1].outputs
    single = Segment(
        name="whole",
        kind="fixed",
        inputs=(image.name,),
        outputs=outputs,
        options=(_option("whole.tflite", content, 0.0, whole.count_params(), macs(whole)),),
    )
    _write(path.with_name(f"{path.name}.whole"), name, image, shapes, [single], outputs, {"whole.tflite": content})
    _write(path, name, image, shapes, segments, outputs, files)
    return Store(path)


def one_block(name: str, path: Path) -> Store:
    """Return the one-block store of a model whose store is at `path`; build it if it is not there.

    The options of its block are whole models, in which every block has the same sparsity.
    """
    found = path.with_name(f"{path.name}.switched")
    if found.exists():
        return Store(found)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from legodnn.blocks.cutting.extract import compose_pieces, extract
    from legodnn.blocks.export.convert import convert
    from legodnn.blocks.importing.macs import macs
    from legodnn.blocks.importing.opening import functional
    from legodnn.blocks.pruning.prune import descendant

    import keras  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

    original = model(name)
    pieces = extract(original, max_blocks=16)
    image = InputSpec(name=pieces[0].inputs[0], shape=tuple(original.input_shape[1:]))
    outputs, blocks = pieces[-1].outputs, sum(piece.kind == "block" for piece in pieces)
    files: dict[str, bytes] = {}
    options: list[Option] = []
    for sparsity in (0.0, *SPARSITIES):
        variants = {
            p.name: descendant(p.model, sparsity) if sparsity and p.kind == "block" else p.model for p in pieces
        }
        inputs = keras.Input(image.shape, name=image.name)
        composed = compose_pieces(pieces, {image.name: inputs}, variants)[outputs[0]]
        variant = functional(keras.Model(inputs, composed))
        file = f"s{sparsity:g}.tflite"
        files[file] = convert(variant)
        option = _option(file, files[file], sparsity, variant.count_params(), macs(variant))
        options.append(option.model_copy(update={"loss": blocks * sparsity}))
    segment = Segment(name="model", kind="block", inputs=(image.name,), outputs=outputs, options=tuple(options))
    shapes = {outputs[0]: tuple(original.output_shape[1:])}
    _write(found, name, image, shapes, [segment], outputs, files)
    return Store(found)


def both_precisions(name: str, path: Path) -> Store:
    """Return the store of a whole model in float32 and int8, beside its store of blocks; build it if it is missing."""
    found = path.with_name(f"{path.name}.precisions")
    if found.exists():
        return Store(found)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from legodnn.blocks.export.convert import convert
    from legodnn.blocks.importing.macs import macs

    import numpy as np  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

    whole = model(name)
    image = InputSpec(name="image", shape=tuple(whole.input_shape[1:]))
    images = np.random.default_rng(0).random((4, *image.shape), np.float32)
    files = {"float32.tflite": convert(whole), "int8.tflite": convert(whole, 1, "int8", [images])}
    params, work = whole.count_params(), macs(whole)
    options = tuple(
        _option(file, content, 0.0, params, work).model_copy(update={"name": precision, "precision": precision})
        for precision, (file, content) in zip(("float32", "int8"), files.items(), strict=True)
    )
    segment = Segment(name="model", kind="block", inputs=("image",), outputs=("y",), options=options)
    _write(found, name, image, {"y": tuple(whole.output_shape[1:])}, [segment], ("y",), files)
    return Store(found)


def int8_compositions(name: str, path: Path) -> dict[str, Store]:
    """Return the stores of a model in int8: `whole` of one file, and two of blocks, where these meet in whole numbers
    (`joined`), or where each has ranges of its own at its ends, and floats are between them (`apart`).

    They lie beside the store of blocks at `path`, and are built if they are missing.
    """
    found = {kind: path.with_name(f"{path.name}.int8-{kind}") for kind in ("whole", "apart", "joined")}
    if not all(place.exists() for place in found.values()):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        _build_int8(name, found)
    return {kind: Store(place) for kind, place in found.items()}


def _build_int8(name: str, places: dict[str, Path]) -> None:
    from legodnn.blocks.cutting.extract import extract
    from legodnn.blocks.export.convert import Runner, convert
    from legodnn.blocks.importing.macs import macs

    import numpy as np  # isort: skip  (after legodnn.blocks, which quietens TensorFlow's start)

    whole = model(name)
    pieces = extract(whole)
    image = InputSpec(name=pieces[0].inputs[0], shape=tuple(whole.input_shape[1:]))
    tensors = {image.name: np.random.default_rng(0).random((4, *image.shape), np.float32)}
    shapes = {n: tuple(t.shape[1:]) for p in pieces for n, t in zip(p.outputs, p.model.outputs, strict=True)}
    content = convert(whole, 1, "int8", [tensors[image.name]])
    outputs = pieces[-1].outputs
    option = _option("whole.tflite", content, 0.0, whole.count_params(), macs(whole))
    segment = Segment(name="whole", kind="fixed", inputs=(image.name,), outputs=outputs, options=(option,))
    _write(places["whole"], name, image, shapes, [segment], outputs, {"whole.tflite": content})
    for piece in pieces:
        made = Runner(convert(piece.model))(*(tensors[n] for n in piece.inputs))
        tensors.update(zip(piece.outputs, made, strict=True))
    for kind, wider in (("apart", 1.01), ("joined", 1.0)):
        files: dict[str, bytes] = {}
        segments = []
        for piece in pieces:
            file, reads = f"{piece.name}/s0.tflite", [tensors[n] for n in piece.inputs]
            ranges = [(wider * float(tensors[n].min()), wider * float(tensors[n].max())) for n in piece.outputs]
            files[file] = convert(piece.model, 1, "int8", reads, ranges)
            option = _option(file, files[file], 0.0, piece.model.count_params(), macs(piece.model))
            segments.append(
                Segment(name=piece.name, kind=piece.kind, inputs=piece.inputs, outputs=piece.outputs, options=(option,))
            )
        _write(places[kind], name, image, shapes, segments, outputs, files)


def _option(file: str, content: bytes, sparsity: float, params: int, macs: int) -> Option:
    return Option(
        name=f"s{sparsity:g}",
        sparsity=sparsity,
        file=file,
        sha256=sha256_bytes(content),
        bytes=len(content),
        params=params,
        macs=macs,
        loss=sparsity,
    )


def _write(
    path: Path,
    name: str,
    image: InputSpec,
    shapes: dict[str, tuple[int, ...]],
    segments: list[Segment],
    outputs: tuple[str, ...],
    files: dict[str, bytes],
) -> None:
    """Write a store's folder. Its accuracy model is made up: accuracy falls linearly with the sum of sparsities."""
    link = Link(x=(0.0, 100.0), y=(1.0, 0.0))
    written = [tensor for segment in segments for tensor in segment.outputs]
    manifest = Manifest(
        model=ModelInfo(name=name, task="classification"),
        inputs=(image,),
        outputs=outputs,
        tensors=tuple(TensorSpec(name=n, shape=shapes[n]) for n in written),
        segments=tuple(segments),
        accuracy=AccuracyModel(metric="accuracy", data="none", original=1.0, link=link, error=0.0, samples=0),
        built=BuildInfo(created="", versions={}, seed=0, recipe={"model": name, "trained": False}),
    )
    with new_folder(path) as folder:
        for file, content in files.items():
            write_atomic(folder / file, content)
        write_atomic(folder / MANIFEST, to_json(manifest))


def main() -> None:
    """Build the networks that are asked for into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the stores are written")
    parser.add_argument("models", nargs="*", default=MODELS, help=f"of: {', '.join(MODELS)} (default: all)")
    args = parser.parse_args()
    for name in args.models:
        print(build(name, args.folder / name))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))  # where `support` is
    main()
