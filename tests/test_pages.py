"""Pages say what the code says: links lead somewhere, messages are those of the code, figures those of benchmarks."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import legodnn

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *sorted(DOCS.rglob("*.md"))]
_LINK = re.compile(r"\]\(([^)\s#:]*)(?:#([^)\s]*))?\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_there_are(page: Path) -> None:
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in _LINK.findall(text):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(path), f"{page.name} links to {target}#{anchor}"


def test_the_site_shows_every_page_once() -> None:
    shown = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text().partition("nav:")[2])
    assert {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} <= set(shown)
    assert len(shown) == len(set(shown))


def test_the_version_is_the_same_everywhere() -> None:
    assert f'\nversion = "{legodnn.__version__}"\n' in (ROOT / "pyproject.toml").read_text()
    assert f"\nversion: {legodnn.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def texts(node: ast.AST) -> Iterator[str]:
    """The texts of a module; {} stands where something is put in."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in inner.values)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and "\n\n" not in inner.value:
            yield inner.value


def test_messages_to_search_for_are_messages_of_the_code() -> None:
    modules = [path for room in ("legodnn", "blocks", "runtime", "profiler") for path in (ROOT / room).rglob("*.py")]
    told = "\n".join(text for path in modules for text in texts(ast.parse(path.read_text())))
    messages = re.findall(r"^\| `([^`]+)` \|", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(messages) > 20
    assert [message for message in messages if message not in told] == []


def test_figures_in_the_answers_are_those_of_the_benchmarks() -> None:
    def bars(name: str) -> dict[str, float]:
        result = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
        return {bar["name"]: bar["value"] for bar in result["bars"]}

    answers = " ".join((DOCS / "faq.md").read_text().split())
    inference, switch, precision = bars("inference"), bars("switch"), bars("precision")
    composed = [value for name, value in inference.items() if name.endswith("composed / undivided")]
    faster = [value for name, value in switch.items() if name.endswith("reload's time / switch's")]
    assert f"gave {inference['two models in two threads: throughput / one after the other']:.2f} times" in answers
    assert f"{min(composed):.2f} to {max(composed):.2f} times the time" in answers
    assert f"1/{min(faster):.0f} to 1/{max(faster):.0f} of the time" in answers
    assert f"made files {precision['int8: times smaller, median']:.1f} times smaller" in answers
    error = bars("accuracy")["mean absolute error on unseen compositions, points"]
    assert f"{error:.2f} points off".lstrip("0") in answers
