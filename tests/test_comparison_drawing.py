"""The picture of the comparison shows the committed results."""

from __future__ import annotations

import json

from docs.draw_comparison import PICTURE, RESULTS, lines, svg


def test_the_lines_are_those_of_the_results() -> None:
    figures = json.loads((RESULTS / "comparison.json").read_text())["figures"]
    for kind, part in (("memory_bytes", slice(12)), ("latency_ms", slice(12, None))):
        found = lines(figures, kind)
        rows = {name: [r["accuracy"] for r in rows[part]] for name, rows in figures["rows"].items()}
        assert [p and round(p, 9) for _, p in found["paper"]] == [a and round(100 * a, 9) for a in rows["paper"]]
        whole = [
            max(a or 0 for a in at) for at in zip(*(rows[n] for n in rows if n not in ("ours", "paper")), strict=True)
        ]
        assert [p or 0 for _, p in found["whole"]] == [100 * a for a in whole]


def test_the_picture_is_drawn_again_when_the_results_have_changed() -> None:
    assert PICTURE.read_text() == svg(), "run: python docs/draw_comparison.py"
