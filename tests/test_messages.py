"""The page of messages is that of the code, and who searches it for a message finds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.messages import PAGE, messages, page
from legodnn.cli import main

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "tests" / "data" / "tiny"
ALL = {(label, text) for by_label in messages().values() for label, texts in by_label.items() for text in texts}


def labels_of(message: str) -> set[str]:
    """The labels under which the page has a message: its words, and something where the page has capitals or dots."""
    parts = {pair: re.split(r"…|\b[A-Z_]{2,}\b|[()]| / ", pair[1]) for pair in ALL}
    return {label for (label, _), words in parts.items() if re.fullmatch(".*".join(map(re.escape, words)), message)}


def test_the_page_is_up_to_date() -> None:
    is_up_to_date = page() == PAGE.read_text()  # by itself: pytest would look long for all that differs
    assert is_up_to_date, "run: python docs/messages.py"


def test_messages_to_search_for_are_on_the_page_in_full() -> None:
    troubleshooting = (ROOT / "docs" / "troubleshooting.md").read_text()
    told = re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| (`.+?) \|", troubleshooting, re.MULTILINE)))
    assert len(told) > 20
    found = page()  # reads all of the code
    assert [words for words in told if words not in found] == []


def test_no_area_is_empty_and_none_is_missed() -> None:
    assert all(messages().values())
    assert len(ALL) > 700


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ("plan nowhere", "StoreError"),
        ("plan {store} --latency 1 --latency tiny=2", "WorkloadError"),
        ("plan {store} --output plan.svg", "WorkloadError"),
        ("run {store} --input {store}/manifest.json", "LegoError"),
        ("run {store} --input camera:x", "InputError"),
        ("serve {store} --port 0", "ConfigError"),
        ("pack {store}/manifest.json --out packed", "ModelError"),
        ("profile --merge {store} --out merged.json", "ProfileError"),
        ("inspect {store} --draw all.svg", "ModelError"),
    ],
)
def test_what_a_command_prints_is_on_the_page(line: str, label: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.format(store=TINY).split()) == 1
    assert label in labels_of(capsys.readouterr().err.removeprefix("legodnn: ").strip())
