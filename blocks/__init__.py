"""The offline stage: from a Keras model and data to a store. The only room that imports Keras and TensorFlow.

In the order of the work: `graph` and `extract` cut a model into blocks; `channels` finds which channels hang together
(by the `rules` of each operation, with `numbering`), `criteria` says which matter, `prune` removes the others (with
`cuts`); `distill` trains the descendants, `export` writes and checks `.tflite` files, `accuracy` measures what each
option costs, and `build` does all of it. `zoo` and `data` hold models and data sets to start from.
"""

from __future__ import annotations

import contextlib
import os

from legodnn.console import native_stderr_silenced
from legodnn.errors import DependencyError

# TensorFlow's start-up chatter would bury what the commands print; whoever wants it sets the variable.
_quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

try:
    with native_stderr_silenced() if _quiet else contextlib.nullcontext():
        import keras as _keras  # noqa: F401
        import tensorflow as _tensorflow  # noqa: F401
except ImportError as _error:
    raise DependencyError(
        f"the offline stage needs Keras and TensorFlow ({_error}); pip install 'legodnn[train]'"
    ) from None
