"""Training: originals, descendants block by block, and descendants together in random compositions."""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
