"""The report of a trace is one page that needs nothing else, with a row for each model under each budget.

Covers also: runtime.feeds.picture.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from legodnn import Budget, Runtime
from legodnn.manifest import Option
from legodnn.profile import Profile, default_path
from legodnn.runtime.feeds.inputs import Inputs
from legodnn.runtime.feeds.picture import draw_trace, option_colour
from legodnn.runtime.feeds.replay import Step, replay
from legodnn.runtime.feeds.report import write_report
from legodnn.store import Store
from legodnn.workload import Workload, WorkloadModel

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def steps(tiny_store: Store, tiny_store2: Store) -> list[Step]:
    inputs = {s.name: Inputs(np.zeros((3, *s.manifest.inputs[0].shape), np.float32)) for s in (tiny_store, tiny_store2)}
    own = [WorkloadModel(name="tiny", store=str(tiny_store.path), rate_hz=1.0)]
    own.append(WorkloadModel(name="tiny2", store=str(tiny_store2.path), rate_hz=1.0, latency_ms=5e3))
    with Runtime(Workload(models=tuple(own))) as runtime:
        limited = Budget(latency_ms={"tiny": 1e3}, cores=2)
        return replay(runtime, inputs, [Budget(), Budget(memory_bytes=1), limited])


def test_a_row_for_each_model_under_each_budget(
    steps: list[Step], tiny_store: Store, tiny_store2: Store, tmp_path: Path
) -> None:
    stores = {s.name: s for s in (tiny_store, tiny_store2)}
    profiles = [Profile.load(default_path(s.path)) for s in stores.values()]
    report = write_report(tmp_path, stores, profiles, steps)
    page = report.read_text()
    assert report == tmp_path / "report.html"
    header, *rows = re.findall(r"<tr.*?>(.*?)</tr>", page)
    count = len(re.findall("<th", header))
    cells = [re.findall(r"<td.*?>(.*?)</td>", row) for row in rows]
    assert len(cells) == 2 * len(steps)
    assert {len(row) for row in cells} == {count}
    assert [row[0] for row in cells] == ["1", "", "2 refused", "", "3", ""]
    assert [row[1] for row in cells[::2]] == ["none", "1 B", "none"]  # what was refused is shown
    assert [row[2] for row in cells[::2]] == ["none", "none", "2"]
    assert [row[3] for row in cells] == ["none", "p95 5000.000"] * 2 + [
        "p95 1000.000",
        "p95 5000.000",
    ]  # one is the model's own
    assert [row[4] for row in cells] == ["tiny", "tiny2"] * 3
    boxes = [len(re.findall('class="option', row[5])) for row in cells]
    assert "2 networks under 3 budgets" in page
    assert boxes == [len(tiny_store.manifest.blocks), len(tiny_store2.manifest.blocks)] * 3
    # It opens offline: the plot is in it, and nothing is fetched.
    assert "<svg" in page
    assert not re.search(r"<(script|link|img)\b", page)
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_what_a_governor_did_is_said(steps: list[Step], tiny_store: Store, tiny_store2: Store, tmp_path: Path) -> None:
    stores = {s.name: s for s in (tiny_store, tiny_store2)}
    profiles = [Profile.load(default_path(s.path)) for s in stores.values()]
    governed = steps[0].model_copy(update={"governed": "nearest", "replanned": 2})
    page = write_report(tmp_path, stores, profiles, [governed]).read_text()
    assert "<td>1 nearest</td>" in page
    assert f"<td>{len(steps[0].loaded)} + 2</td>" in page


def test_names_cannot_write_markup(steps: list[Step], tiny_store: Store, tiny_store2: Store, tmp_path: Path) -> None:
    odd = "<i>x&"
    renamed = [
        step.model_copy(
            update={
                "plan": step.plan.model_copy(
                    update={
                        "models": tuple(
                            m.model_copy(update={"name": odd}) if m.name == "tiny" else m for m in step.plan.models
                        )
                    }
                ),
                "models": {odd if name == "tiny" else name: m for name, m in step.models.items()},
            }
        )
        for step in steps
    ]
    profiles = [Profile.load(default_path(tiny_store.path))]
    page = write_report(tmp_path, {odd: tiny_store, "tiny2": tiny_store2}, profiles, renamed).read_text()
    assert odd not in page
    assert "&lt;i&gt;x&amp;" in page


def test_what_was_measured_above_its_limit_is_red_in_the_picture(
    steps: list[Step], tiny_store: Store, tiny_store2: Store
) -> None:
    stores = {s.name: s for s in (tiny_store, tiny_store2)}

    def red(limits: dict[str, float]) -> int:
        limited = steps[0].model_copy(update={"latency_limits_ms": limits})
        picture = draw_trace(stores, [limited])
        return len(re.findall(r"<use [^>]*stroke: #c62828", picture))

    assert red({"tiny": 1e6, "tiny2": 1e6}) == 0
    assert red({"tiny": 1e-6, "tiny2": 1e6}) == 1
    assert red({"tiny": 1e-6, "tiny2": 1e-6}) == 2


def test_colours_tell_precisions_and_sparsities_apart(tiny_store: Store) -> None:
    original = tiny_store.manifest.blocks[0].options[0]

    def colour(**changes: object) -> str:
        return option_colour(Option.model_validate({**original.model_dump(), **changes}))

    options = [{"precision": p, "sparsity": s} for p in ("float32", "float16", "int8") for s in (0.0, 0.5, 0.9)]
    assert len({colour(**o) for o in options}) == len(options)
    assert re.fullmatch("#[0-9a-f]{6}", colour())
