"""The badges of README say what pyproject.toml says, and what it says is so."""

from __future__ import annotations

from xml.etree import ElementTree

from docs.draw_badges import PICTURE, ROOT, badges, svg
from tests.pythons import SUPPORTED


def test_the_picture_is_drawn_again_when_the_project_has_changed() -> None:
    assert PICTURE.read_text() == svg(), "run: python docs/draw_badges.py"


def test_the_picture_shows_all_that_the_badges_say() -> None:
    texts = [element.text for element in ElementTree.fromstring(svg()) if element.tag.endswith("text")]
    assert texts == [text for badge in badges() for text in badge]


def test_badges_are_true() -> None:
    told = dict(badges())
    assert told["Python"] == f"{SUPPORTED[0]} to {SUPPORTED[-1]}", "the versions that tests and release checks run on"
    assert told["types"] == "typed"
    assert (ROOT / "legodnn" / "py.typed").exists()
    assert told["licence"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
