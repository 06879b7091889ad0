"""What a unit says, and which files a service could not read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legodnn.commands.unit import _HIDDEN, ServiceUnit, check_readable, quoted
from legodnn.errors import ConfigError


def unquoted(word: str) -> str:
    """What systemd reads: quotes and backslashes as a shell has them in double quotes, then %% and $$."""
    (inner,) = shlex.split(word.replace("$$", "$").replace("`", "\\`"))
    return inner.replace("%%", "%")


@settings(max_examples=50)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="`"), min_size=1))
def test_any_word_comes_through(word: str) -> None:
    assert unquoted(quoted(word)) == word


def test_a_word_cannot_add_lines() -> None:
    with pytest.raises(ConfigError, match="control character"):
        quoted("a\nExecStartPre=/bin/false")
    with pytest.raises(ConfigError, match="control character"):
        ServiceUnit("a", ("x\ny",), ("true",), 1).text()


def test_what_the_services_own_user_cannot_read_is_named(tmp_path: Path) -> None:
    for place in ("/root/x", "/home/pi/x", "/tmp/x"):
        with pytest.raises(ConfigError, match=f"does not see {Path(place).parents[-2]}"):
            check_readable([Path(place)])
    check_readable([Path("/usr/bin/env"), Path("/etc")])
    closed = next((path for path in (Path("/etc/shadow"), Path("/etc/sudoers")) if path.exists()), None)
    if closed and not closed.stat().st_mode & 0o004:
        with pytest.raises(ConfigError, match=rf"cannot read {closed}: chmod o\+r it"):
            check_readable([closed])


def test_the_guide_to_32_bit_boards_installs_where_a_service_sees_it() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "raspberry-pi.md"
    section = page.read_text().partition("## 32-bit systems")[2]
    places = re.findall(r"^    .*LEGODNN_VENV=(\S+)|^    sudo (\S+)/bin/pip install", section, re.MULTILINE)
    assert len({installed or used for installed, used in places}) == 1
    for place in filter(None, (word for words in places for word in words)):
        assert not any(Path(place).is_relative_to(hidden) for hidden in _HIDDEN)
