"""Pruning: descendants of a block, with whole channels removed and the remaining weights fitted again."""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
