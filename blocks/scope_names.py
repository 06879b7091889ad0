"""Names of layers and models that TensorFlow refuses, such as 'a conv' or 'größe', wherever Keras runs a layer.

Keras takes and saves any name without a slash. Where a layer runs in a TensorFlow function, for conversion or in a step
of training, Keras opens a scope of the layer's name, and TensorFlow takes only some characters there. The scope gets
another name instead. Layers, models, and the paths of their variables keep theirs, and so do stores and saved files.
"""

from __future__ import annotations

import re
from typing import Any


def use_safe_scope_names(keras: Any, tensorflow: Any) -> None:
    """Let Keras open scopes of TensorFlow by `safe_scope_name` in this process.

    Args:
        keras: the module. It has no public way to name a layer's scope otherwise than the layer.
        tensorflow: the module, which Keras runs layers with.
    """
    own = keras.name_scope.__init__

    def initialise(scope: Any, name: str, **options: Any) -> None:
        own(scope, name, **options)
        scope._tf_name_scope = tensorflow.name_scope(safe_scope_name(name))

    keras.name_scope.__init__ = initialise


def safe_scope_name(name: str) -> str:
    """Return a name itself if TensorFlow takes it for any scope, otherwise one that it takes.

    Different names may become one: TensorFlow numbers scopes of the same name.

    Example:
        >>> safe_scope_name("conv_1"), safe_scope_name("größe [1]"), safe_scope_name("_conv")
        ('conv_1', 'gr__e__1_', '._conv')
    """
    safe = re.sub(r"[^A-Za-z0-9_.\\>-]", "_", name)
    return re.sub(r"^[_\\>-]", r".\g<0>", safe)  # only within another scope may these come first
