"""Prepare TensorFlow and Keras, then import Keras: what every module that uses Keras needs to happen first.

TensorFlow's oneDNN kernels are on, as everywhere (`TF_ENABLE_ONEDNN_OPTS=0` switches them off); the one of them that
damages the heap is gone around (`pointwise_gradients`). Layers may have any name that Keras takes (`scope_names`).

TensorFlow reads its environment variables once, when it is imported. So the packages inside `legodnn.blocks` import
this module before any of their own, and importing `legodnn.blocks` alone changes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os

from legodnn.blocks.pointwise_gradients import use_safe_pointwise_gradients
from legodnn.blocks.scope_names import use_safe_scope_names
from legodnn.errors import DependencyError
from legodnn.native_stderr import native_stderr_silenced

# TensorFlow's start-up messages would bury what the commands print; whoever wants them sets the variable.
_quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Both loggers warn of what is done on purpose: functions are converted without a SavedModel (five times faster, and
# variables become constants here), and one function is compiled for each of many models.
for _name in ("absl", "tensorflow"):
    logging.getLogger(_name).setLevel(logging.ERROR)

try:
    with native_stderr_silenced() if _quiet else contextlib.nullcontext():
        import keras as keras
except ImportError as _error:
    raise DependencyError(
        f"the offline stage needs Keras and TensorFlow ({_error}); pip install 'legodnn[train]'"
    ) from None

if keras.backend.backend() == "tensorflow":
    import tensorflow
    from tensorflow.python.framework.ops import gradient_registry

    use_safe_pointwise_gradients(tensorflow, gradient_registry._registry)
    use_safe_scope_names(keras, tensorflow)
