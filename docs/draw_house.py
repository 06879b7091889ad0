"""Draw the map of the code: every folder as a box with what it is for and its modules, above those that it stands on.

    python docs/draw_house.py        # writes docs/house.svg; a test says when it has to be drawn again

What a box says is read from the code: the first sentence of the folder's docstring, and the names of its modules.
"""

from __future__ import annotations

import ast
import textwrap
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "house.svg"

# From top to bottom; boxes of one row stand side by side, and a box uses only what is below it or in its row.
COMMON_TOP = ["legodnn/commands"]
OFFLINE = [
    ["blocks"],
    ["blocks/export", "blocks/accuracy"],
    ["blocks/training"],
    ["blocks/pruning"],
    ["blocks/cutting"],
    ["blocks/channels"],
    ["blocks/importing", "blocks/importing/annotations"],
    ["blocks/importing/onnx"],
    ["blocks/importing/tflite", "blocks/from_torch"],
    ["blocks/zoo", "blocks/jobs"],
]
ON_DEVICE = [
    ["runtime/whole_models", "runtime/serving"],
    ["runtime/feeds", "profiler"],
    ["runtime"],
    ["runtime/governing"],
    ["runtime/planning", "runtime/executors"],
    ["runtime/planning/solver"],
    ["runtime/device", "runtime/tflite"],
]
COMMON_BOTTOM = ["legodnn/tasks", "legodnn"]

WIDTH, MARGIN, GAP, PAD = 1180, 20, 12, 10
LINE, SMALL_LINE, TITLE_LINE = 16, 15, 20
# The docstring of the package tells what the product is; its folder holds what is shared.
PURPOSES = {"legodnn": "What all folders share: the schemas of stores, profiles, workloads and plans, errors, files"}
COLOURS = {"legodnn": "#eef1f5", "blocks": "#fdf0dc", "profiler": "#e3f3e6", "runtime": "#e2eefb"}


def rooms() -> dict[str, tuple[str, list[str]]]:
    """Every folder of the package with its purpose (a sentence) and its modules."""
    found = {}
    for top in ("legodnn", "blocks", "profiler", "runtime"):
        for init in sorted((ROOT / top).rglob("__init__.py")):
            folder = init.parent.relative_to(ROOT)
            if top == "legodnn" and any(part in ("blocks", "profiler", "runtime") for part in folder.parts):
                continue  # the links to the rooms
            docstring = " ".join((ast.get_docstring(ast.parse(init.read_text())) or "").split("\n\n")[0].split())
            purpose = docstring.split(". ")[0].rstrip(".").replace("`", "")
            modules = sorted(p.stem for p in init.parent.glob("*.py") if not p.stem.startswith("__"))
            found[folder.as_posix()] = (PURPOSES.get(folder.as_posix(), purpose), modules)
    return found


class _Drawing:
    def __init__(self) -> None:
        self.known = rooms()
        self.parts: list[str] = []

    def height(self, name: str, width: float) -> float:
        purpose, modules = self._lines(name, width)
        return PAD + TITLE_LINE + LINE * len(purpose) + SMALL_LINE * len(modules) + PAD

    def box(self, name: str, x: float, y: float, width: float, height: float) -> None:
        fill = COLOURS[name.split("/")[0]]
        place = f'x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}"'
        self.parts.append(f'<rect {place} rx="6" fill="{fill}" stroke="#8894a3"/>')
        line = y + PAD + 12
        self._text(name + "/", x + PAD, line, "font-weight='bold' font-size='14'")
        purpose, modules = self._lines(name, width)
        for text in purpose:
            line += LINE
            self._text(text, x + PAD, line, "font-size='12'")
        line += 3
        for text in modules:
            line += SMALL_LINE
            self._text(text, x + PAD, line, "font-size='11' fill='#4a5563' font-family='monospace'")

    def column(self, rows: list[list[str]], x: float, y: float, width: float) -> float:
        """Draw rows of boxes below one another; the y at which the next would begin."""
        for row in rows:
            each = (width - GAP * (len(row) - 1)) / len(row)
            height = max(self.height(name, each) for name in row)
            for i, name in enumerate(row):
                self.box(name, x + i * (each + GAP), y, each, height)
            y += height + GAP
        return y

    def _text(self, text: str, x: float, y: float, attributes: str) -> None:
        self.parts.append(f'<text x="{x:.0f}" y="{y:.0f}" {attributes}>{escape(text)}</text>'.replace("'", '"'))

    def _lines(self, name: str, width: float) -> tuple[list[str], list[str]]:
        purpose, modules = self.known[name]
        return (
            textwrap.wrap(purpose, int((width - 2 * PAD) / 6.5)),
            textwrap.wrap(", ".join(modules), int((width - 2 * PAD) / 7.0), break_on_hyphens=False),
        )


def svg() -> str:
    """The picture."""
    drawing = _Drawing()
    inner, half = WIDTH - 2 * MARGIN, (WIDTH - 2 * MARGIN - 2 * GAP) / 2
    right = MARGIN + half + 2 * GAP
    y = drawing.column([COMMON_TOP], MARGIN, MARGIN, inner) + LINE
    headings = (
        ("Offline, on a workstation (Keras, TensorFlow)", MARGIN),
        ("On the device (NumPy, psutil, LiteRT)", right),
    )
    for text, x in headings:
        drawing._text(text, x, y, "font-size='13' font-style='italic'")
    y += GAP - 2
    y = max(drawing.column(OFFLINE, MARGIN, y, half), drawing.column(ON_DEVICE, right, y, half))
    y = drawing.column([COMMON_BOTTOM], MARGIN, y, inner)
    body = "\n".join(drawing.parts)
    size = f'width="{WIDTH}" height="{y + MARGIN - GAP:.0f}"'
    background = '<rect width="100%" height="100%" fill="white"/>'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    return "\n".join([opening, background, body, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(svg())
    print(PICTURE)
