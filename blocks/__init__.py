"""The offline stage: from a Keras model and data to a store. The only room that imports Keras and TensorFlow.

In the order of the work: `recipe` says what to build, `models` and `data` open it (`zoo` holds models to start from,
`users` finds functions of the user's own; `opening` makes one flat float32 graph of a model). `graph`, `division` and
`extract` cut a model into blocks, which `draw` shows; `channels` finds which channels hang together (by the `rules`
of each operation, with `numbering`), `criteria` says which matter, `prune` removes the others (with `cuts` and
`copies` of layers), `reconstruct` refits what is left. `heads` tells what outputs and labels mean (`labels` refuses
those that cannot be), `metrics` what they are worth, `chance` whether that is more than nothing, `estimate` how long
all will take, and `rehearsal` tries the end of a build at its beginning. `training` and `distill` train block by
block, divided into `jobs`, and `joint` trains compositions. `options` writes every option as a file (`export`
converts and checks, `apart` in a process of its own), `accuracy` measures what they cost (fitted by `lossfit`, with
what plans are `likely` to choose), `manifest` describes it, and `build` does all of it, keeping what is finished in a
folder (`work`).

Training runs on any backend of Keras; only `export` needs TensorFlow.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings

from legodnn.errors import DependencyError
from legodnn.native_stderr import native_stderr_silenced

# TensorFlow's start-up chatter would bury what the commands print; whoever wants it sets the variable.
_quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow 2.21's oneDNN kernels damage the heap when descendants of a ResNet-18 are trained in random compositions
# (the process aborts in malloc); without them it trains. TensorFlow reads this once, when it is first imported.
if "tensorflow" in sys.modules and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
    warnings.warn(
        "TensorFlow was imported before legodnn.blocks, with its oneDNN kernels on, which can crash training in "
        "compositions: set TF_ENABLE_ONEDNN_OPTS=0, or import legodnn.blocks first",
        stacklevel=2,
    )
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Python-side warnings about what is meant: converting functions without a SavedModel (five times faster; variables
# are constants here), and compiling one function for each of many models.
for _name in ("absl", "tensorflow"):
    logging.getLogger(_name).setLevel(logging.ERROR)

try:
    with native_stderr_silenced() if _quiet else contextlib.nullcontext():
        import keras as _keras  # noqa: F401
except ImportError as _error:
    raise DependencyError(
        f"the offline stage needs Keras and TensorFlow ({_error}); pip install 'legodnn[train]'"
    ) from None
