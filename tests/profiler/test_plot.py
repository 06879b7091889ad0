"""The picture of a profile shows every block that was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.profile import Profile, Skipped
from legodnn.store import Store

pytest.importorskip("matplotlib")

from legodnn.profiler.plot import draw_profile


@pytest.fixture(autouse=True)
def _text_as_text() -> None:
    import matplotlib as mpl

    mpl.rcParams["svg.fonttype"] = "none"


def test_latency_and_memory_of_every_block_stand_side_by_side(
    tiny_store: Store, profile: Profile, tmp_path: Path
) -> None:
    draw_profile(tiny_store, profile, tmp_path / "new" / "p.svg")
    svg = (tmp_path / "new" / "p.svg").read_text()
    for words in ("block1", "block2", "latency, ms (1 thread)", "memory, MB", "sparsity", "tiny on "):
        assert words in svg
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["p.svg"]


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_other_kinds_of_picture(tiny_store: Store, profile: Profile, tmp_path: Path, suffix: str, magic: bytes) -> None:
    draw_profile(tiny_store, profile, tmp_path / f"p{suffix}")
    assert (tmp_path / f"p{suffix}").read_bytes().startswith(magic)


def test_points_are_the_measured_options(tiny_store: Store, profile: Profile, tmp_path: Path) -> None:
    """With one option less there is one mark less in each panel."""
    marks = []
    skipped = profile.options[1]
    fewer = profile.model_copy(
        update={
            "options": tuple(o for o in profile.options if o is not skipped),
            "skipped": (Skipped(segment=skipped.segment, option=skipped.option, reason="short of time"),),
        }
    )
    for p in (profile, fewer):
        draw_profile(tiny_store, p, tmp_path / "p.svg")
        marks.append((tmp_path / "p.svg").read_text().count("<use "))
    assert marks[0] - marks[1] == 2
