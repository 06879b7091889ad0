"""Processors are shared by weights: what others use is not what they keep."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.runtime.device.fair_share import FIRST, Competitor, Process, fair_cores, family, read_processes
from legodnn.runtime.device.monitor import _between, _Spent

competitors = st.lists(
    st.builds(Competitor, st.floats(0, 4), st.sampled_from([0.003, 0.1, 1.0, 10.0, FIRST])), max_size=6
)


def test_who_wants_more_than_there_is_gets_what_its_weight_is_worth() -> None:
    equal, low = Competitor(1.0, 1.0), Competitor(1.0, 1.25**-19)
    assert fair_cores(2.0, [equal, equal], 1.0) == pytest.approx(2 / 3)
    assert fair_cores(1.0, [equal], 1.0) == 0.5
    assert fair_cores(1.0, [low], 1.0) == pytest.approx(1 / (1 + 1.25**-19))
    assert fair_cores(1.0, [Competitor(1.0, FIRST)], 1.0) < 1e-5


def test_who_wants_little_keeps_it() -> None:
    assert fair_cores(2.0, [Competitor(0.2, 1.0)], 2.0) == pytest.approx(1.8)
    assert fair_cores(2.0, [], 0.3) == 0.3
    assert fair_cores(1.0, [Competitor(0.9, 1.0)], 0.4) == 0.4


@given(st.floats(0.5, 16), competitors, st.floats(0.01, 8))
def test_a_share_is_at_least_what_is_free_and_at_most_what_is_wanted(
    cores: float, others: list[Competitor], wanted: float
) -> None:
    share = fair_cores(cores, others, wanted)
    free = cores - sum(o.cores for o in others)
    assert min(wanted, free) - 1e-9 <= share <= wanted


@given(st.floats(0.5, 16), competitors, st.floats(0.01, 8), st.floats(0, 2), st.data())
def test_more_competition_is_never_a_greater_share(
    cores: float, others: list[Competitor], wanted: float, more: float, data: st.DataObject
) -> None:
    before = fair_cores(cores, others, wanted)
    if others:
        i = data.draw(st.integers(0, len(others) - 1))
        others[i] = Competitor(others[i].cores + more, others[i].weight)
    else:
        others = [Competitor(more, 1.0)]
    assert fair_cores(cores, others, wanted) <= before + 1e-9


# --- as the kernel tells it ------------------------------------------------------------------------------------------


def stat(parent: int, ticks: int, nice: int = 0, policy: int = 0, start: int = 7, name: str = "x") -> str:
    fields = ["0"] * 50
    for index, value in ((1, parent), (11, ticks), (12, 0), (16, nice), (19, start), (38, policy)):
        fields[index] = str(value)
    return f"1 ({name}) {' '.join(['S', *fields[1:]])}"


def test_processes_are_read_with_their_weights(tmp_path: Path) -> None:
    lines = {
        "10": stat(1, 250),
        "11": stat(10, 100, nice=5, name="a) S 1 2 (b"),
        "12": stat(11, 0, policy=5),
        "13": stat(1, 0, policy=1),
        "14": "",
        "15": "15 (x) S",
        "self": stat(1, 1),
    }
    for pid, line in lines.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "stat").write_text(line)
    (tmp_path / "16").mkdir()  # ended meanwhile
    ticks = os.sysconf("SC_CLK_TCK")
    found = read_processes(tmp_path)
    assert found == {
        (10, 7): Process(1, 250 / ticks, 1.0),
        (11, 7): Process(10, 100 / ticks, 1.25**-5),
        (12, 7): Process(11, 0.0, 3 / 1024),
        (13, 7): Process(1, 0.0, FIRST),
    }
    assert set(family(found, 10)) == {(10, 7), (11, 7), (12, 7)}
    assert family(found, 99) == {}
    assert read_processes(tmp_path / "none") == {}


BUSY = "import os, sys\nos.nice(int(sys.argv[1]))\nwhile True: pass"


@pytest.fixture
def hog() -> Iterator[int]:
    """A child of low priority that computes."""
    process = subprocess.Popen([sys.executable, "-c", BUSY, "13"])
    yield process.pid
    process.kill()
    process.wait()


def test_a_child_belongs_to_this_process_and_has_the_weight_of_its_priority(hog: int) -> None:
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    expected = pytest.approx(1.25 ** -min(19, nice + 13))
    deadline = time.monotonic() + 30
    while True:  # until it has lowered its priority
        (child,) = (p for (pid, _), p in family(read_processes(), os.getpid()).items() if pid == hog)
        if child.weight == expected and child.seconds > 0:
            return
        assert time.monotonic() < deadline, child
        time.sleep(0.01)


# --- between two readings --------------------------------------------------------------------------------------------


def spent(time_s: float, busy: float | None, first: float, **seconds: float) -> _Spent:
    """What processes 1 (this one), 2 (its child), 3 (of low priority) and 4 have spent until a moment."""
    parents, weights = {1: 0, 2: 1, 3: 0, 4: 0}, {3: 0.25}
    numbers = {int(name.removeprefix("p")): s for name, s in seconds.items()}
    processes = {(n, 7): Process(parents[n], s, 0.5 * weights.get(n, 1.0)) for n, s in numbers.items()}
    return _Spent(time_s, busy, first, processes)


def test_what_others_spend_is_told_apart_by_weight_beside_this_process() -> None:
    before = spent(10.0, 100.0, 5.0, p1=1.0, p2=2.0, p3=3.0)
    now = spent(12.0, 103.0, 5.2, p1=1.5, p2=2.1, p3=4.0, p4=0.5)  # the fourth is new
    busy, own, competing = _between(before, now, family(now.processes, 1))
    assert busy == pytest.approx(1.5)
    assert own == pytest.approx(0.3)
    assert [(pytest.approx(c.cores), c.weight) for c in competing] == [(0.5, 0.25), (0.25, 1.0), (0.1, FIRST)]


def test_what_cannot_be_told_is_none() -> None:
    now = spent(12.0, 103.0, 5.2, p1=1.5)
    nothing = (None, None, ())
    own = family(now.processes, 1)
    assert _between(None, now, own) == nothing
    assert _between(spent(12.0, 100.0, 5.0, p1=1.0), now, own) == nothing  # no time has passed
    assert _between(spent(10.0, None, 5.0, p1=1.0), now, own) == nothing
    assert _between(spent(10.0, 100.0, 5.0, p1=1.0), now, {}) == nothing  # this process is not to be seen
