"""What surrounds the emulated machine: reports are found in its console, and what it is to test exists."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.pi.console import reported, reports_in
from tests.pi.guest import STORES, TESTS
from tests.pi.image import ROOT, modules_in_order


@given(st.lists(st.tuples(st.text(), st.booleans(), st.text()), max_size=5), st.lists(st.integers(0, 400)), st.binary())
def test_reports_are_found_wherever_the_console_is_cut(
    told: list[tuple[str, bool, str]], cuts: list[int], noise: bytes
) -> None:
    noise = noise.replace(b"@", b"")
    console = b"".join(noise + b"\n" + reported(*one, seconds=1.25).encode() + b"\r\n" for one in told) + noise
    ends = sorted({min(cut, len(console)) for cut in cuts} | {0, len(console)})
    pieces = [console[a:b] for a, b in pairwise(ends)]
    found = [(r["check"], r["passed"], r["found"]) for r in reports_in(pieces)]
    assert found == told


def test_modules_come_after_those_that_they_need(tmp_path: Path) -> None:
    for name, needs in {"a-one": b"b_two,c", "b_two": b"c", "c": b"", "other": b""}.items():
        (tmp_path / f"{name}.ko").write_bytes(b"\0license=GPL\0depends=" + needs + b"\0name=x\0")
    names = [path.name for path in modules_in_order(tmp_path, ("built_in", "a_one", "c"))]
    assert names == ["c.ko", "b_two.ko", "a-one.ko"]


def test_what_the_machine_is_to_run_is_there() -> None:
    assert [path for path in TESTS if not (ROOT / path).exists()] == []
    assert all((ROOT / "tests" / "data" / store.name / "manifest.json").exists() for store in STORES)
