"""Accuracy: what compositions are worth, measured, and predicted for those that were not measured."""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
