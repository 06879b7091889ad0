"""Reading ONNX files as Keras graphs: `graph` does it; the rules of operators are in tables beside it."""

from legodnn.blocks import _backend  # noqa: F401  (prepares TensorFlow, before it is imported)
