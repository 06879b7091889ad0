"""Draw the badges of README: what pyproject.toml says of the package, and nothing else.

    python docs/draw_badges.py        # writes docs/badges.svg; a test says when it has to be drawn again

Badges of a service would say what a service last knew, and load something from elsewhere.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from legodnn.errors import ConfigError
from legodnn.toml import read_toml

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "badges.svg"

HEIGHT, GAP, PAD, LETTER = 20, 6, 7, 6.6  # a letter of the font below is .6 of its size wide
FONT = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:11px"
GRAY, TEAL = "#4a4f57", "#0b6e64"


def badges() -> list[tuple[str, str]]:
    """Return what the badges say, each with its name: taken from the classifiers where there is one."""
    project = read_toml(ROOT / "pyproject.toml", ConfigError, "")["project"]
    told = {name: [c.split(" :: ")[-1] for c in project["classifiers"] if c.startswith(name)] for name in _CLASSIFIERS}
    status, system, python, typing = (told[name] for name in _CLASSIFIERS)
    versions = sorted((v for v in python if "." in v), key=lambda version: [int(part) for part in version.split(".")])
    return [
        ("version", f"{project['version']} ({status[0].split(' - ')[1].lower()})"),
        ("Python", f"{versions[0]} to {versions[-1]}"),
        ("system", ", ".join(system)),
        ("types", ", ".join(typing).lower()),
        ("licence", project["license"]),
    ]


_CLASSIFIERS = ("Development Status", "Operating System", "Programming Language :: Python", "Typing")


def svg() -> str:
    """Return the picture: the badges in a row."""
    drawn, left = [], 0.0
    for name, value in badges():
        middle, right = (left + 2 * PAD + LETTER * len(name), 2 * PAD + LETTER * len(value))
        for start, width, text, colour in ((left, middle - left, name, GRAY), (middle, right, value, TEAL)):
            drawn += [
                f'<rect x="{start:.1f}" width="{width:.1f}" height="{HEIGHT}" fill="{colour}"/>',
                f'<text x="{start + PAD:.1f}" y="14" fill="#fff" textLength="{width - 2 * PAD:.1f}">'
                f"{escape(text)}</text>",
            ]
        left = middle + right + GAP
    size = f'width="{left - GAP:.0f}" height="{HEIGHT}" viewBox="0 0 {left - GAP:.0f} {HEIGHT}"'
    label = escape(", ".join(f"{name} {value}" for name, value in badges()))
    root = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}" style="{FONT}">'
    return "\n".join([root, *drawn, "</svg>"]) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(svg())
