"""What a governor learned is kept in a file of its own, and merged into the profile of its store and device."""

from __future__ import annotations

from pathlib import Path

import pytest

from legodnn.cli import main
from legodnn.errors import ProfileError
from legodnn.learned import Learned, learned_path, with_learned
from legodnn.profile import Profile
from legodnn.profile_merge import merge
from legodnn.tail import tail_of


def learned(profile: Profile, **other: object) -> Learned:
    tail = (tail_of([[2.0] * 30], 1, "use"),)
    fields = {"store_id": profile.store_id, "model": "tiny", "device": profile.device, "created": "now", "tail": tail}
    return Learned.model_validate({**fields, **other})


def test_what_was_learned_replaces_what_was_learned_before(profile: Profile) -> None:
    old = profile.model_copy(update={"tail": (*profile.tail, tail_of([[1.0] * 30], 1, "use"))})
    new = learned(profile)
    assert with_learned(old, new).tail == (*profile.tail, *new.tail)
    with pytest.raises(ProfileError, match="of another store"):
        with_learned(profile, learned(profile, store_id="0" * 64))
    with pytest.raises(ProfileError, match="another device"):
        with_learned(profile, learned(profile, device=profile.device.model_copy(update={"cpu": "another"})))


def test_what_was_learned_of_another_profile_is_refused(profile: Profile) -> None:
    known = learned(profile, profiled=profile.created)
    assert with_learned(profile, known).tail == (*profile.tail, *known.tail)
    later = profile.model_copy(update={"created": "2125-01-01T00:00:00+00:00"})
    with pytest.raises(ProfileError, match="is of another profile"):
        with_learned(later, known)
    assert with_learned(later, learned(profile)).tail == (*profile.tail, *known.tail)  # of which, it does not say


def test_what_was_learned_of_a_profile_goes_when_another_replaces_its_medians(profile: Profile) -> None:
    used = with_learned(profile, learned(profile))
    later = profile.model_copy(update={"created": "2125-01-01T00:00:00+00:00"})
    assert merge([used, later]).tail == profile.tail
    assert merge([later, used]).tail == used.tail


def test_of_which_profile_it_is_is_written_where_it_is_known(profile: Profile, tmp_path: Path) -> None:
    for known in (learned(profile), learned(profile, profiled=profile.created)):
        known.save(tmp_path / "it.json")
        assert Learned.load(tmp_path / "it.json") == known
        assert ("profiled" in (tmp_path / "it.json").read_text()) == (known.profiled is not None)


def test_it_lies_beside_the_profile() -> None:
    assert learned_path(Path("a/faces.profile.json")) == Path("a/faces.learned.json")
    assert learned_path(Path("a/own.json")) == Path("a/own.learned.json")


def test_a_command_merges_it(profile: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / name) for name in ("tiny.profile.json", "tiny.learned.json", "out.json")]
    profile.save(paths[0])
    learned(profile).save(paths[1])
    assert main(["profile", "--merge", paths[0], paths[1], "--out", paths[2]]) == 0
    assert Profile.load(paths[2]) == with_learned(profile, learned(profile))
    assert "inferences in use (1 thread) take, over their prediction: median x 2.00" in capsys.readouterr().out
    Path(paths[1]).write_text("{}")
    assert main(["profile", "--merge", paths[0], paths[1], "--out", paths[2]]) == 1
    assert "tiny.learned.json has schema None" in capsys.readouterr().err
