"""Importing: models and data as users have them, opened as one float32 graph and arrays of images."""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
