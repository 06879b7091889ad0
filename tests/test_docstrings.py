"""Examples in docstrings run and give what they say.

In an example `store` is an open store, `profile` its profile, and `folder` the folder that both are in. Examples make
whatever else it needs.
"""

from __future__ import annotations

import doctest
import importlib
import importlib.util

import pytest

from legodnn.profile import Profile, default_path
from legodnn.store import Store
from tests.test_architecture import MODULES

KERAS = importlib.util.find_spec("keras") and importlib.util.find_spec("tensorflow")


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if ">>> " in path.read_text()])
def test_examples_give_what_they_say(name: str, tiny_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    if name.startswith("legodnn.blocks") and not KERAS:
        pytest.skip("Keras and TensorFlow are not installed")
    given = {
        "store": tiny_store,
        "profile": Profile.load(default_path(tiny_store.path)),
        "folder": tiny_store.path.parent,
    }
    results = doctest.testmod(importlib.import_module(name), extraglobs=given, optionflags=doctest.ELLIPSIS)
    assert results.attempted
    assert not results.failed, capsys.readouterr().out
