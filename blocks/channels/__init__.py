"""Channels: which channels of a block belong together, by a rule for each operation of Keras."""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
