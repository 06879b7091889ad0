"""Pages say what the code says: links lead somewhere, and messages are those of the code."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import legodnn
from legodnn.cli import command_line

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


def commands(page: Path) -> Iterator[list[str]]:
    """The commands of `legodnn` in the code blocks of a page, each as words."""
    text = page.read_text().replace("\\\n", " ")
    fenced = "\n".join(re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    lines = re.findall(r"^    (.*\blegodnn [a-z].*)$", text, re.MULTILINE) + fenced.splitlines()
    for part in (part for line in lines for part in re.split(r"&&|\|\|", line)):
        if found := re.match(r" *(?:sudo )?(?:[\w~./]*/)?legodnn ([a-z].*)", part):
            yield shlex.split(found[1], comments=True)


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=lambda page: page.name)
def test_commands_in_pages_have_the_flags_that_there_are(page: Path) -> None:
    for words in commands(page):
        args = command_line(words).parse_args(words)  # which ends the test with what is wrong
        assert words[0] not in ("build", "compress") or args.data or args.recipe or words[1] == "MODEL", words


def test_the_site_shows_every_page_once() -> None:
    shown = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text().partition("nav:")[2])
    assert {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} <= set(shown)
    assert len(shown) == len(set(shown))


def test_the_version_is_the_same_everywhere() -> None:
    assert f'\nversion = "{legodnn.__version__}"\n' in (ROOT / "pyproject.toml").read_text()
    assert f"\nversion: {legodnn.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    android = ROOT / "android_demo"
    assert f'\nlibrary = "{legodnn.__version__}"\n' in (android / "gradle/libs.versions.toml").read_text()
    assert f"<version>{legodnn.__version__}</version>" in (android / "lego-runtime/pom.xml").read_text()


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
