"""A Keras file that cannot be read is refused by what it holds."""

from __future__ import annotations

from pathlib import Path

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
