"""A Keras file that cannot be read is refused by what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

from legodnn.blocks.importing.keras_files import load_model_file
from legodnn.errors import ModelError


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_file_that_is_there_is_not_said_to_be_missing(tmp_path: Path) -> None:
    x = keras.Input((8,))
    model = keras.Model(x, keras.layers.Dense(2)(x))
    whole, cut, text, old = (tmp_path / f"{name}.keras" for name in ("whole", "cut", "text", "old"))
    model.save(whole)
    cut.write_bytes(whole.read_bytes()[:-100])
    text.write_text("a page of a server that asks for a password")
    model.save(tmp_path / "old.h5")
    (tmp_path / "old.h5").rename(old)
    load_model_file(str(whole))
    for path in (cut, text):
        with pytest.raises(ModelError, match=r"\.keras: it is no \.keras file, or it is damaged or cut short: save or"):
            load_model_file(str(path))
    with pytest.raises(ModelError, match=r"old\.keras: it is an HDF5 file: rename it, so that its name ends in \.h5"):
        load_model_file(str(old))
    with pytest.raises(ModelError, match="File not found"):
        load_model_file(str(tmp_path / "missing.keras"))


class Doubled(keras.layers.Layer):
    """A layer of somebody's own, which a file names."""

    def call(self, x: Any) -> Any:
        return 2 * x


def test_a_class_that_a_file_names_and_nobody_knows_is_named(tmp_path: Path) -> None:
    image = keras.Input((4, 4, 3))
    keras.Model(image, keras.layers.Conv2D(2, 3)(Doubled()(image))).save(tmp_path / "mine.keras")
    with pytest.raises(ModelError, match=r"mine\.keras: Could not locate class 'Doubled'.*name the module .* --custom"):
        load_model_file(str(tmp_path / "mine.keras"))
