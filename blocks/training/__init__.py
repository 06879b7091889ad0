"""Training: of the original, of every descendant block by block, and of all descendants in random compositions."""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
