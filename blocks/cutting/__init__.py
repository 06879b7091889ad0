"""Cutting: a model as a sequence of segments, the common blocks among them."""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
