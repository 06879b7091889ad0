"""What bodies hold becomes what models take, also of models that nobody has for a test of the whole service."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from legodnn.checked_inputs import check_inputs
from legodnn.runtime.serving.bodies import JSON_TYPE, NPY, RAW, inputs_of
from legodnn.store import Store
from tests.legodnn.damaged_stores import Document, edit


@pytest.mark.parametrize("kind", [JSON_TYPE, NPY, RAW])
def test_an_input_may_be_a_single_number(kind: str, store_copy: Path) -> None:
    def change(document: Document) -> None:
        (name,) = (each["name"] for each in document["inputs"])
        document["inputs"] = [{"name": name, "shape": (), "layout": "plain"}]

    edit(store_copy, change)
    store = Store(store_copy)
    name = store.manifest.inputs[0].name
    for batch in ((), (1,)):
        content, x = io.BytesIO(), np.full(batch, 0.5, np.float32)
        np.save(content, x)
        listed = json.dumps({"inputs": {name: x.tolist()}}).encode()
        body = {JSON_TYPE: listed, NPY: content.getvalue(), RAW: x.tobytes()}[kind]
        given = inputs_of(store, kind, {}, body)
        assert check_inputs(store, "m", given) == {name: 0.5}
