"""Accuracy: the metric of compositions, which is measured for a sample of them and predicted for all others."""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
