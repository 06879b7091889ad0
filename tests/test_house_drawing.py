"""The map of the code (docs/house.svg) shows the folders and modules that there are."""

from __future__ import annotations

from docs.draw_house import COMMON_BOTTOM, COMMON_TOP, OFFLINE, ON_DEVICE, PICTURE, rooms, svg


def test_every_folder_has_its_box() -> None:
    drawn = [name for row in (COMMON_TOP, *OFFLINE, *ON_DEVICE, COMMON_BOTTOM) for name in row]
    assert sorted(drawn) == sorted(rooms())


def test_the_picture_is_drawn_again_when_the_code_has_changed() -> None:
    assert PICTURE.read_text() == svg(), "run: python docs/draw_house.py"
