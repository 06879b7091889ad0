"""The demo's stores that are built beside one another; test_demo.py builds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.commands.demo import recipes
from legodnn.commands.demo_stores import built_beside, recipe_document
from legodnn.errors import LegoError
from legodnn.recipe import resolve


@pytest.mark.parametrize("quick", [True, False])
def test_the_process_beside_reads_the_same_recipe(quick: bool, tmp_path: Path) -> None:
    for recipe in recipes(quick):
        file = tmp_path / "recipe.toml"
        file.write_text(recipe_document(recipe))
        assert resolve(file, "another") == recipe


def test_a_build_that_fails_is_told_when_what_was_done_meanwhile_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, done = recipes(quick=True)[0], []
    (tmp_path / "vgg16").mkdir()
    with pytest.raises(LegoError, match="vgg16 failed with status 1"), built_beside(tmp_path / "vgg16", recipe):
        done.append(True)
    assert done
    assert "vgg16 exists; remove it" in capsys.readouterr().err


def test_a_build_ends_with_what_was_done_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), built_beside(tmp_path / "vgg16", recipes(quick=True)[0]):
        raise KeyboardInterrupt
    assert not (tmp_path / "vgg16").exists()
