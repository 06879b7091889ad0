"""The drawing shows every call once, in its segment, and every connection.

Covers also: blocks.cutting.layout.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import keras
import pytest
from keras import layers

from legodnn.blocks import zoo
from legodnn.blocks.cutting.draw import draw_model
from legodnn.blocks.cutting.extract import extract
from legodnn.blocks.importing.graph import calls

SVG = "{http://www.w3.org/2000/svg}"


def conv(filters: int, **options: Any) -> keras.layers.Layer:
    return layers.Conv2D(filters, 3, padding="same", **options)


def encoder_decoder() -> keras.Model:
    inputs = keras.Input((16, 16, 3), name="scene <1>")
    a = conv(4)(conv(5, name="a&b")(inputs))
    b = conv(6)(conv(6)(layers.MaxPooling2D()(a)))
    c = conv(8)(conv(8)(layers.MaxPooling2D()(b)))
    b = conv(6)(conv(6)(layers.Concatenate()([b, layers.UpSampling2D()(c)])))
    a = conv(4)(conv(4)(layers.Concatenate()([a, layers.UpSampling2D()(b)])))
    return keras.Model(inputs, [a, b], name="two < three")


@pytest.mark.parametrize("make", [encoder_decoder, lambda: zoo.resnet18(0.05), lambda: zoo.vgg16(0.05)])
def test_every_call_is_a_box_with_its_name_and_boxes_do_not_overlap(make: Any) -> None:
    pieces = extract(make(), min_share=0)
    root = ElementTree.fromstring(draw_model("mine", pieces))
    cards = [g for g in root.iter(f"{SVG}g") if g.get("transform")]
    assert len(cards) == len(pieces)
    for piece, card in zip(pieces, cards, strict=True):
        boxes = card.findall(f"{SVG}g")
        titles = [box.findtext(f"{SVG}title", "") for box in boxes]
        assert sorted(title.split(" (")[0] for title in titles) == sorted(piece.calls)
        places = [[float(box.find(f"{SVG}rect").attrib[k]) for k in ("x", "y", "width", "height")] for box in boxes]
        for i, (x, y, w, h) in enumerate(places):
            assert not any(x < x2 + w2 and x2 < x + w and y < y2 + h2 and y2 < y + h for x2, y2, w2, h2 in places[:i])
        reads = sum(len({id(t) for t in call.inputs}) for call in calls(piece.model))
        assert len(card.findall(f"{SVG}path")) == reads + len(piece.outputs)


def test_connections_that_skip_segments_are_coloured() -> None:
    pieces = extract(encoder_decoder(), 16, 0)
    root = ElementTree.fromstring(draw_model("mine", pieces))
    between = [path.get("class") for path in root.findall(f"{SVG}path")]
    assert len(between) == sum(len(p.inputs) for p in pieces)
    origin = {name: i for i, p in enumerate(pieces) for name in p.outputs}
    skips = [1 for i, p in enumerate(pieces) for name in p.inputs if origin.get(name, i) < i - 1]
    assert between.count("skip") == len(skips) > 0


def test_names_are_escaped_and_figures_shown() -> None:
    text = draw_model("two < three", extract(encoder_decoder(), 16, 0))
    root = ElementTree.fromstring(text)
    words = " ".join(t.text or "" for t in root.iter(f"{SVG}text"))
    assert "two < three" in words
    assert "scene <1>" in words
    assert "MACs" in words
    assert "params" in words
    assert "%" in words
