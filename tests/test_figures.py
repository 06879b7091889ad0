"""Figures in pages are those of the stored results, and tables of results say whose they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs import figures
from docs.figures import Figure, Passage, Record, WrongTie, figures_of, passages, unclaimed

KNOWN = figures.results()
ROOT = figures.ROOT
PAGES_OF_RESULTS = {"README.md", "docs/faq.md"}

page_names = pytest.mark.parametrize("name", [str(page.relative_to(ROOT)) for page in figures.PAGES])


@page_names
def test_figures_are_the_results(name: str) -> None:
    tied = [figure for passage in passages(ROOT / name) for figure in figures_of(passage, KNOWN)]
    wrong = [f"{figure.shown} should be {figure.renewed}" for figure in tied if not figure.is_right]
    assert wrong == [], "run: python docs/figures.py --write"


@page_names
def test_results_are_tied(name: str) -> None:
    prose = name in PAGES_OF_RESULTS or "measurements" in name
    assert [text for passage in passages(ROOT / name) for text in unclaimed(passage, prose=prose)] == []


RESULT = {"timing": Record({"fast": Record(ms=1.25, runs=1500), "slow": Record(ms=12.5, runs=None)})}
TABLE = "\n| how | ms | runs |\n|---|---|---|\n| fast, 2 threads | 1.3 | 1,500 |\n| slow | 12.5 | - |\n"
TIES = "<!-- figures\n| | row.ms | row.runs | for row in timing.values()\n# ms = timing.fast.ms\n-->\n"


def only(text: str, folder: Path) -> Passage:
    """The first passage of a page with a text."""
    (folder / "page.md").write_text(text)
    return next(passages(folder / "page.md"))


def test_prose_and_cells_are_read_in_place(tmp_path: Path) -> None:
    passage = only("It takes 1.2\nms.\n" + TABLE + "\n" + TIES, tmp_path)
    tied = figures_of(passage, RESULT)
    text = (tmp_path / "page.md").read_text()
    assert [(text[f.start : f.end], f.result) for f in tied] == [
        ("1.2", 1.25),
        ("1.3", 1.25),
        ("1,500", 1500),
        ("12.5", 12.5),
        ("-", None),
    ]
    assert all(figure.is_right for figure in tied), "halves may be rounded up or down"
    assert unclaimed(passage, prose=True) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1.25 ms, or 1.25 ms\n<!-- figures\n# ms = timing.fast.ms\n-->", "2 times"),
        ("1.25 s\n<!-- figures\n# ms = timing.fast.ms\n-->", "0 times"),
        ("1.25 ms\n<!-- figures\n# ms = timing.fats.ms\n-->", "no 'fats' among fast, slow"),
        ("1.25 ms\n<!-- figures\n# ms = timing.fast.ms, 3\n-->", "1 numbers, and should have 2"),
        ("1.25 ms\n<!-- figures\n# ms = timing.fast\n-->", "no number"),
        (TABLE + "<!-- figures\n| | row.ms | row.runs | for row in [timing.fast]\n-->", "2 rows in the table, 1 in"),
        (TABLE + "<!-- figures\n| | row.ms | | for row in timing.values()\n-->", "'1,500' in"),
        (TABLE + "<!-- figures\n| | row.ms | for row in timing.values()\n-->", "3 cells in .*, 2 in the comment"),
        ("<!-- figures\n| | 1 |\n-->", "no table"),
    ],
)
def test_ties_that_do_not_fit_are_told(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(WrongTie, match=told):
        figures_of(only(text, tmp_path), RESULT)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TABLE, ["a table of results without a tie"]),
        (TABLE + "\n" + TABLE + TIES.replace("# ms = timing.fast.ms\n", ""), ["a table of results without a tie"]),
        ("That took 3.5 ms.", ["a quantity without a tie: That took 3.5 ms."]),
        ("That took 3.5 ms, not 4 ms.\n<!-- figures\nnot 4 ms\n-->", ["a quantity without a tie: That took 3.5 ms"]),
        ("That took 3.5 ms.\n<!-- no figures: observed -->", ["needs its date"]),
        ("That took 3.5 ms in May 2026.\n<!-- no figures: observed -->", []),
        ("```\n3.5 ms\n```\n\n    3.5 ms\n\nResNet-18 s, 3x3 %, version 2.3.0 s", []),
        ("| flag | meaning |\n|---|---|\n| a | sets 3 |\n| b | takes 2 |\n", []),
    ],
)
def test_what_reads_like_a_result_is_found(text: str, told: list[str], tmp_path: Path) -> None:
    found = unclaimed(only(text + "\n", tmp_path), prose=True)
    assert len(found) == len(told)
    assert all(piece in line for piece, line in zip(told, found, strict=True))


shown = st.from_regex(r"[+]?(0|[1-9][0-9]{0,2}|[1-9],[0-9]{3})?\.[0-9]{1,4}", fullmatch=True) | st.sampled_from(
    ["3", "1,500", "4e-7", "1e-06", "2.5e-3", "-.31", "-4.8", "+2"]
)


@given(shown, st.floats(-1e6, 1e6))
def test_a_renewed_figure_is_right_and_stays(like: str, result: float) -> None:
    page = ROOT / "README.md"
    renewed = Figure(page, 0, 1, like, result, like).renewed
    again = Figure(page, 0, 1, renewed, result, renewed)
    assert again.is_right
    assert again.renewed == renewed


def test_figures_are_written_as_they_were() -> None:
    def renewed(shown: str, result: float | None, like: str = "") -> str:
        return Figure(ROOT / "README.md", 0, 1, shown, result, like or shown).renewed

    assert renewed(".33", 0.346) == ".35"
    assert renewed("0.33", 0.346) == "0.35"
    assert renewed("1,500", 2345.6) == "2,346"
    assert renewed("4e-7", 3.1e-6) == "3e-6"
    assert renewed("1e-06", 3.1e-5) == "3e-05"
    assert renewed("+2.5", -0.04) == "0.0"
    assert renewed("83.2", None) == "-"
    assert renewed("-", 83.25, "91.6") == "83.2"


def test_the_command_writes_the_results_into_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("It takes 7.25 ms.\n" + TABLE.replace("12.5", "9.1").replace("- |", "3 |") + "\n" + TIES)
    monkeypatch.setattr(figures, "PAGES", [page])
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "results", lambda: RESULT)
    assert figures.main([]) == 1
    assert "7.25" in page.read_text()
    assert figures.main(["--write"]) == 0
    assert page.read_text() == "It takes 1.25 ms.\n" + TABLE + "\n" + TIES
    assert figures.main([]) == 0
