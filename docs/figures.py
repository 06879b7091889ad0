"""Figures in pages are those of benchmarks/results: finds those that are not, and puts the right ones in.

    python docs/figures.py            # says which figures differ from the results that they are tied to
    python docs/figures.py --write    # writes the results' figures into the pages

A comment, which readers do not see, ties figures to results. It is about the text between the heading or comment before
it and itself:

    <!-- figures
    # times the throughput of one after the other (hashing gains #) =
      inference["two models at once"].gain.median, inference["two models at once"].machine_gain.median
    a goal of 95 %
    | | row.segments | row.undivided_ms.median | for name, row in inference.items() if "thread" in name
    -->

- Text with # for each figure, an equals sign, and what the figures are, in Python. The name of a file in
  benchmarks/results is what it has under `figures`, and `bars.NAME["..."]` the value of one of its bars; keys may be
  written as attributes. `median` and `extent` (least and greatest) take many numbers.
- Text alone is quoted because its numbers are no results.
- Cells are a row of the table above the comment, or several rows where `for` follows. An empty cell is a label, `...`
  has numbers that no benchmark gives, and None stands for a cell without a figure ("-").
- A line that begins with a space goes on with the line before.

A figure is right if it is the result, rounded as it is written. `<!-- no figures: WHY -->` says that the text and table
before it have none of any stored result; if WHY is that they were observed, the text has to say when.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_DIGITS = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+|(?=\.\d))(?:\.\d+)?(?:e[+-]?\d+)?"
_NUMBER = re.compile(rf"(?<![\w.-]){_DIGITS}(?!\w|\.\d)")
_CODE = re.compile(r"^```.*?^```|^    .*?$", re.MULTILINE | re.DOTALL)
_BREAK = re.compile(r"^#+ [^\n]*$|^<!-- (no figures|figures)\b(.*?)-->", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
# What is measured has one of these units; pages of measurements may not have such a number without saying whose it is.
_MEASURED = re.compile(rf"{_NUMBER.pattern}(?= ?(?:ms|µs|s|seconds|MB|kB|%|points|times)(?!\w))")


class Record(dict[str, Any]):
    """An object of JSON whose keys may be written as attributes."""

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"no {key!r} among {', '.join(self)}") from None


@dataclass(frozen=True)
class Figure:
    """A number in a page, and the result that it should be, written as the number `like` is."""

    page: Path
    start: int
    end: int
    shown: str
    result: float | None
    like: str

    @property
    def is_right(self) -> bool:
        """Whether the number is the result, rounded to the places that are written."""
        if self.result is None or not _NUMBER.fullmatch(self.shown):
            return self.shown == self.renewed
        mantissa, _, exponent = self.shown.replace(",", "").partition("e")
        unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
        return abs(float(f"{mantissa}e{exponent or 0}") - self.result) <= unit * (0.5 + 1e-6)

    @property
    def renewed(self) -> str:
        """The result, written as `like` is."""
        if self.result is None:
            return "-"
        mantissa, _, exponent = self.like.partition("e")
        places = len(mantissa.partition(".")[2])
        if exponent:
            digits = exponent.lstrip("+-")
            plus = "+" if "+" in exponent or ("-" in exponent and len(digits) > 1) else ""
            shown, _, power = f"{self.result:.{places}e}".partition("e")
            return f"{shown}e{'-' if '-' in power else plus}{abs(int(power)):0{len(digits)}}"
        sign = "+" if self.like.startswith("+") else ""
        text = f"{self.result:{sign}{',' if ',' in self.like else ''}.{places}f}"
        if float(text.replace(",", "")) == 0:
            text = text.replace("-", "")
        return text.replace("0.", ".", 1) if re.match(r"[+-]?\.", self.like) and abs(self.result) < 1 else text


@dataclass(frozen=True)
class Passage:
    """A piece of a page, from a heading or comment to the next, and the comment that ends it, if one does."""

    page: Path
    start: int
    text: str
    kind: str
    comment: str

    @property
    def tables(self) -> list[re.Match[str]]:
        """Its tables, in order."""
        return list(_TABLE.finditer(self.text))


class WrongTie(ValueError):
    """A comment that does not fit the text before it, or the results."""


def passages(page: Path) -> Iterator[Passage]:
    """Yield the passages of a page; code is left out."""
    text = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), page.read_text())
    start = 0
    for end in _BREAK.finditer(text):
        yield Passage(page, start, text[start : end.start()], end[1] or "", end[2] or "")
        start = end.end()
    yield Passage(page, start, text[start:], "", "")


def results() -> dict[str, Any]:
    """Return the names that expressions may use: the figures of each stored result, `bars`, `median` and `extent`."""
    read = {path.stem: json.loads(path.read_text(), object_hook=Record) for path in RESULTS.glob("*.json")}
    bars = Record({name: Record({bar.name: bar.value for bar in result.bars}) for name, result in read.items()})
    figures = {name: result.figures for name, result in read.items()}
    return {"bars": bars, "median": median, "extent": _extent} | figures


def figures_of(passage: Passage, known: dict[str, Any]) -> list[Figure]:
    """Return the figures that a passage's comment ties.

    Raises:
        WrongTie: it does not fit.
    """
    found: list[Figure] = []
    rows: list[list[Any]] = []
    for line in _ties(passage):
        if line.startswith("|"):
            rows += _rows(line, known)
        else:
            piece, equals, expression = line.partition(" = ")
            match = _quoted(passage, piece)
            if equals:
                shown = [(match.start(n + 1), match[n + 1]) for n in range(len(match.groups()))]
                found += _paired(passage, shown, _value(expression, known), piece)
    return found + (_in_table(passage, rows) if rows else [])


def unclaimed(passage: Passage, *, prose: bool) -> list[str]:
    """Return what reads like a result in a passage and is tied to none: tables of numbers, and measured quantities."""
    if passage.kind == "no figures":
        observed = "observed" in passage.comment and not re.search(r"\b20\d\d\b", passage.text)
        return ["what was observed needs its date in the text"] if observed else []
    ties = _ties(passage)
    tables = passage.tables[:-1] if any(tie.startswith("|") for tie in ties) else passage.tables
    found = [
        f"a table of results without a tie: {table[0].splitlines()[0]}" for table in tables if _holds_results(table[0])
    ]
    if prose:
        spans = [_quoted(passage, tie.partition(" = ")[0]).span() for tie in ties if not tie.startswith("|")]
        text = _TABLE.sub(lambda table: re.sub(r"[^\n]", " ", table[0]), passage.text)
        found += [
            f"a quantity without a tie: {' '.join(text[max(0, m.start() - 30) : m.end() + 20].split())}"
            for m in _MEASURED.finditer(text)
            if not any(start <= m.start() and m.end() <= end for start, end in spans)
        ]
    return found


def _ties(passage: Passage) -> list[str]:
    if passage.kind != "figures":
        return []
    return [line.strip() for line in re.sub(r"\n[ \t]+", " ", passage.comment).splitlines() if line.strip()]


def _value(expression: str, names: dict[str, Any]) -> Any:
    try:
        return eval(expression, dict(names))
    except (SyntaxError, NameError, AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as e:
        raise WrongTie(f"{expression.strip()}: {type(e).__name__}: {e}") from None


def _extent(values: Iterable[float]) -> tuple[float, float]:
    inner = list(values)
    return min(inner), max(inner)


def _listed(value: Any) -> list[Any]:
    if isinstance(value, dict | str) or not isinstance(value, Iterable):
        return [value]
    return [inner for item in value for inner in _listed(item)]


def _quoted(passage: Passage, piece: str) -> re.Match[str]:
    """Return where a piece of text is; words may be parted by any space."""
    pattern = re.escape(piece).replace(r"\#", f"({_DIGITS})").replace(r"\ ", r"\s+")
    matches = list(re.finditer(rf"(?<![\w.]){pattern}(?!\w)", passage.text))
    if len(matches) != 1:
        raise WrongTie(f"{piece!r} is in the text {len(matches)} times")
    return matches[0]


def _paired(passage: Passage, shown: list[tuple[int, str]], value: Any, where: str, like: str = "") -> list[Figure]:
    """Return the numbers that are shown with what they should be."""
    values = _listed(value)
    if len(shown) != len(values):
        raise WrongTie(f"{where!r} has {len(shown)} numbers, and should have {len(values)}")
    if not all(v is None or isinstance(v, int | float) for v in values):
        raise WrongTie(f"{where!r} is tied to what is no number: {value!r}")
    return [
        Figure(passage.page, passage.start + at, passage.start + at + len(text), text, v, like or text)
        for (at, text), v in zip(shown, values, strict=True)
    ]


def _rows(line: str, known: dict[str, Any]) -> list[list[Any]]:
    """Return what the cells of rows should hold; "" stands for a label, and ... for what is no result."""
    cells, _, loop = line.rpartition("|")
    row = ", ".join(f"({cell.strip()})" if cell.strip() else '""' for cell in cells.split("|")[1:])
    return [list(values) for values in _value(f"[({row},) {loop or 'for _ in [0]'}]", known)]


def _in_table(passage: Passage, rows: list[list[Any]]) -> list[Figure]:
    """Return the figures in the cells of the last table."""
    if not passage.tables:
        raise WrongTie("a comment about a table, and no table above it")
    table = passage.tables[-1]
    lines = list(re.finditer(r".+", table[0]))[2:]
    if len(lines) != len(rows):
        raise WrongTie(f"{len(lines)} rows in the table, {len(rows)} in the results: {table[0].splitlines()[0]}")
    found: list[Figure] = []
    latest: dict[int, str] = {}  # a number of each column, for cells that have none
    for line, values in zip(lines, rows, strict=True):
        cells = list(re.finditer(r"\|\s*([^|]*?)\s*(?=\|)", line[0]))
        if len(cells) != len(values):
            raise WrongTie(f"{len(cells)} cells in {line[0]!r}, {len(values)} in the comment")
        for column, (cell, value) in enumerate(zip(cells, values, strict=True)):
            at = table.start() + line.start() + cell.start(1)
            shown = [(at + number.start(), number[0]) for number in _NUMBER.finditer(cell[1])]
            latest |= {column: shown[0][1]} if shown else {}
            if value == "" and shown and column:
                raise WrongTie(f"{cell[1]!r} in {line[0]!r} is tied to nothing")
            if value in ("", ...):
                continue
            empty = cell[1] == "-"
            if empty or value is None:
                shown = [(at, cell[1])]
            found += _paired(passage, shown, value, f"{cell[1]} in {line[0]}", latest.get(column, "") if empty else "")
    return found


def _holds_results(table: str) -> bool:
    """Whether a third of the cells beside the labels begin with numbers."""
    cells = [cell.strip() for line in table.splitlines()[2:] for cell in line.split("|")[2:-1]]
    filled = [cell for cell in cells if cell]
    return 3 * sum(bool(_NUMBER.match(cell)) for cell in filled) >= len(filled) > 0


def main(words: list[str]) -> int:
    """Say which figures are not the results', or write the results' figures."""
    parser = argparse.ArgumentParser("python docs/figures.py", description="Compare figures in pages with results.")
    parser.add_argument("--write", action="store_true", help="write the results' figures into the pages")
    args, known = parser.parse_args(words), results()
    wrong: list[str] = []
    for page in PAGES:
        figures: list[Figure] = []
        for passage in passages(page):
            try:
                figures += [figure for figure in figures_of(passage, known) if not figure.is_right]
            except WrongTie as e:
                wrong.append(f"{page.relative_to(ROOT)}: {e}")
        text = page.read_text()
        for figure in sorted(figures, key=lambda figure: -figure.start):
            line = text.count("\n", 0, figure.start) + 1
            print(f"{page.relative_to(ROOT)}:{line}: {figure.shown} -> {figure.renewed}")
            text = text[: figure.start] + figure.renewed + text[figure.end :]
        if figures and args.write:
            page.write_text(text)
        elif figures:
            wrong.append(f"{page.relative_to(ROOT)}: {len(figures)} figures are not the results'; --write puts them in")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
