"""Annotations: folders whose images have masks, boxes, key points, clips or anomalies as labels."""

from legodnn.blocks import _backend as _backend  # prepares TensorFlow before a module here imports Keras
