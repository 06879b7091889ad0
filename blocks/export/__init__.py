"""Export: options as `.tflite` files, each checked against the Keras model that it was made of."""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
