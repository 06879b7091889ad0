"""The Gradle project for Android: an app can include a library of it as docs/android.md says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
ANDROID = ROOT / "android_demo"
PAGE = (ROOT / "docs/android.md").read_text()
LIBRARIES = ("lego-runtime", "lego-runtime-ktx", "lego-runtime-litert2")


def build_file(module: str) -> str:
    return (ANDROID / module / "build.gradle.kts").read_text()


def entries(catalogue: dict[str, Any]) -> dict[str, Any]:
    """A version catalogue's entries by the names that build files give them: libs.versions.minSdk."""
    found = {f"versions.{name}": entry for name, entry in catalogue["versions"].items()}
    found |= {name.replace("-", "."): entry for name, entry in catalogue["libraries"].items()}
    return found | {f"plugins.{name.replace('-', '.')}": entry for name, entry in catalogue["plugins"].items()}


@pytest.mark.parametrize("module", LIBRARIES)
def test_a_library_is_built_by_its_own_build_file_alone(module: str) -> None:
    for needed in ("compileSdk = ", "defaultConfig.minSdk = ", "sourceCompatibility = ", "targetCompatibility = "):
        assert needed in build_file(module), "a project that includes it does not have this project's own build file"


def test_the_page_names_every_entry_of_the_catalogue_that_the_library_takes() -> None:
    shown = entries(tomllib.loads(re.findall(r"```toml\n(# gradle/libs.*?)```", PAGE, re.S)[0]))
    ours = entries(tomllib.loads((ANDROID / "gradle/libs.versions.toml").read_text()))
    taken = {name.removesuffix(".get") for name in re.findall(r"\blibs\.([\w.]+)", build_file("lego-runtime"))}
    assert {"versions.compileSdk", "versions.minSdk", "litert", "jspecify", "plugins.android.library"} <= taken
    assert taken <= set(shown)
    assert {name: ours[name] for name in shown} == shown
