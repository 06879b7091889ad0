"""What MkDocs does with links that are made for reading the repository: see `hooks` in mkdocs.yml.

Pages may link to files outside `docs/`. Those that are pages of the root become pages of the site; of links to code and
data the text alone is left.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES_OF_ROOT = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
}
# Who searches for words of a message is shown these first: other pages have the same words more often.
PAGES_BY_MESSAGE, _BOOST = ("troubleshooting.md", "reference/messages.md"), 3
_LINK = re.compile(r"(!?)\[([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the root."""
    for name, page in PAGES_OF_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files into links to pages of the site, or into their text; let the search prefer some pages."""
    if page.file.src_uri in PAGES_BY_MESSAGE:
        page.meta["search"] = {"boost": _BOOST}
    sources = {target: ROOT / name for name, target in PAGES_OF_ROOT.items()}
    source = sources.get(page.file.src_uri, DOCS / page.file.src_uri)

    def rewritten(link: re.Match[str]) -> str:
        mark, text, target, anchor = link.groups()
        path = Path(os.path.normpath(source.parent / target))
        if ":" in target or not path.exists():
            return link[0]  # to elsewhere; or broken, which MkDocs tells
        uri = PAGES_OF_ROOT.get(path.name) if path.parent == ROOT else None
        if path.is_relative_to(DOCS) and path.suffix != ".py":
            uri = path.relative_to(DOCS).as_posix()
        if uri is None:
            return text
        return f"{mark}[{text}]({os.path.relpath(uri, Path(page.file.src_uri).parent)}{anchor or ''})"

    return _LINK.sub(rewritten, markdown)
