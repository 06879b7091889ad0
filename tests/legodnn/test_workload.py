"""Budgets and workloads: what is read, and what is refused in one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from legodnn.errors import StoreError, WorkloadError
from legodnn.store import Store
from legodnn.workload import Budget, SwitchCharge, Workload, WorkloadModel, load_workload, read_trace

PAGE = Path(__file__).parents[2] / "docs" / "workload.md"
TOML = """
[budget]
memory = "20MB"
cores = 2.0
latency_ms = 9.5

[[models]]
name = "faces"
store = "stores/faces"
weight = 2
rate_hz = 15
latency_ms = 8.0
min_accuracy = 0.8

[[models]]
name = "scenes"
store = "/elsewhere/scenes"
profile = "scenes.json"
critical = false
threads = 2

[switch_charge]
per_mb = 0.0001
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "workload.toml"
    path.write_text(text)
    return path


def test_reads_a_workload_file(tmp_path: Path) -> None:
    workload = load_workload([write(tmp_path, TOML)])
    faces, scenes = workload.models
    assert workload.budget == Budget(memory_bytes=20_000_000, cores=2.0, latency_ms=9.5)
    assert workload.switch_charge == SwitchCharge(per_mb=0.0001)
    assert faces.store == str(tmp_path / "stores/faces")
    assert faces.profile_path == tmp_path / "stores/faces.profile.json"
    assert (faces.weight, faces.rate_hz, faces.latency_ms, faces.min_accuracy) == (2.0, 15.0, 8.0, 0.8)
    assert scenes.store == "/elsewhere/scenes"
    assert scenes.profile_path == tmp_path / "scenes.json"
    assert (scenes.critical, scenes.threads) == (False, 2)


def test_latency_limits_by_name(tmp_path: Path) -> None:
    text = '[budget.latency_ms]\nfaces = 5\n[[models]]\nname = "faces"\nstore = "s"\n'
    assert load_workload([write(tmp_path, text)]).budget.latency_ms == {"faces": 5.0}


def test_makes_a_workload_of_stores() -> None:
    workload = load_workload(["a/faces", "b/faces", "scenes"])
    assert [m.name for m in workload.models] == ["faces", "faces-2", "scenes"]
    assert [m.store for m in workload.models] == ["a/faces", "b/faces", "scenes"]
    assert workload.budget == Budget()


def test_a_path_that_leads_nowhere_makes_a_model_that_is_told_when_its_store_is_opened(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, name in ((loop, "loop"), (Path("a\0b"), "a\0b")):
        workload = load_workload([path])
        assert workload.models[0].name == name
        with pytest.raises(StoreError, match="is not a folder"):
            Store(workload.models[0].store)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"\[\[models\]\]"),
        ("models = 3", r"\[\[models\]\]"),
        ("[[models]", "not TOML"),
        ('[[models]]\nname = "a"', "store: Field required"),
        ('[[models]]\nname = "a"\nstore = ""', "store"),
        ('[[models]]\nname = "a"\nstore = "s"\nwieght = 2', r"wieght: unknown field, got 2 \(near to it: weight\)"),
        ('[[models]]\nname = "a"\nstore = "s"\nlatency = 3', r"unknown field, got 3 \(near to it: latency_ms\)"),
        (
            '[[models]]\nname = "a"\nstore = "s"\nweight = 0',
            "weight: must be greater than or equal to 0.000001",
        ),
        ('[[models]]\nname = "a"\nstore = "s"\nrate_hz = -1', "rate_hz"),
        ('[[models]]\nname = "a"\nstore = "s"\nrate_hz = nan', "rate_hz"),
        ('[[models]]\nname = "a"\nstore = "s"\nthreads = 0', "threads"),
        ('[[models]]\nname = "a"\nstore = "s"\n[[models]]\nname = "a"\nstore = "t"', "two models are called 'a'"),
        ('budget = 3\n[[models]]\nname = "a"\nstore = "s"', "budget must be a table"),
        ('[budget]\nmemory = "lots"\n[[models]]\nname = "a"\nstore = "s"', "memory: 'lots' is not a size"),
        ('[budget]\nmemory = "1MB"\nmemory_bytes = 1\n[[models]]\nname = "a"\nstore = "s"', "both memory and"),
        ('[budget]\nmemory_bytes = 0\n[[models]]\nname = "a"\nstore = "s"', "greater than 0"),
        ('[budget.latency_ms]\nb = 5\n[[models]]\nname = "a"\nstore = "s"', "'b', which is none of a"),
        ('extra = 1\n[[models]]\nname = "a"\nstore = "s"', "extra"),
    ],
)
def test_refuses_a_bad_file_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(WorkloadError, match=problem) as caught:
        load_workload([path])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_utf8_is_told_as_that() -> None:
    with pytest.raises(WorkloadError, match=r"^WorkloadModel: store: holds bytes that are no UTF-8"):
        load_workload("caf\udce9/faces")


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="cannot read"):
        load_workload([tmp_path / "missing.toml"])
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WorkloadError, match="is not UTF-8 text"):
        load_workload([binary])
    mixed: list[list[str | Path]] = [[write(tmp_path, TOML), "store"], ["store", write(tmp_path, TOML)]]
    for paths in mixed:
        with pytest.raises(WorkloadError, match=r"workload\.toml is a workload file, .* not with store;"):
            load_workload(paths)
    with pytest.raises(WorkloadError, match=r"a\.toml is a workload file, .* not with b\.toml;"):
        load_workload(["a.toml", "b.toml"])
    with pytest.raises(WorkloadError, match="no workload"):
        load_workload([])


def test_places_in_the_home_may_be_named_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    lines = ("[[models]]", "name = 'a'", "store = '~/stores/a'", "profile = '~/a.json'")
    (tmp_path / "workload.toml").write_text("\n".join(lines))
    (model,) = load_workload([tmp_path / "workload.toml"]).models
    assert (model.store, model.profile) == ("/home/pi/stores/a", "/home/pi/a.json")


@pytest.mark.parametrize(
    "bad",
    [
        {"memory_bytes": 0},
        {"memory_bytes": -1},
        {"memory_bytes": 1.5},
        {"memory_bytes": True},
        {"memory_bytes": 1 << 70},
        {"latency_ms": 0.0},
        {"latency_ms": -1.0},
        {"latency_ms": math.nan},
        {"latency_ms": math.inf},
        {"latency_ms": {"m": 0.0}},
        {"latency_ms": {"m": math.nan}},
        {"cores": 0.0},
        {"cores": math.nan},
        {"memory": 3},
    ],
)
def test_a_bad_budget_is_a_workload_error(bad: dict[str, Any]) -> None:
    with pytest.raises(WorkloadError, match=f"Budget: {next(iter(bad))}") as caught:
        Budget(**bad)
    assert "\n" not in str(caught.value)


def test_bad_models_and_charges_are_workload_errors() -> None:
    with pytest.raises(WorkloadError, match="WorkloadModel: weight"):
        WorkloadModel(name="m", store="s", weight=math.inf)
    with pytest.raises(WorkloadError, match="SwitchCharge: per_mb"):
        SwitchCharge(per_mb=-1.0)
    with pytest.raises(WorkloadError, match="Workload: models"):
        Workload(models=())


def test_budgets_survive_json() -> None:
    budget = Budget(memory_bytes=5, latency_ms={"a": 1.5}, cores=0.5)
    assert Budget.model_validate_json(budget.model_dump_json()) == budget


def test_one_folder_needs_no_list() -> None:
    assert [m.name for m in load_workload("a/faces").models] == ["faces"]
    assert [m.name for m in load_workload(Path("a/faces")).models] == ["faces"]


def test_a_limit_of_latency_that_is_none_is_named_with_its_model() -> None:
    with pytest.raises(WorkloadError, match=r"^Budget: latency_ms: that of 'faces' must be a number of milliseconds"):
        Budget(latency_ms={"faces": 0.0})
    with pytest.raises(WorkloadError, match=r"^Budget: latency_ms: must be a number of milliseconds greater than 0"):
        Budget(latency_ms="5")  # type: ignore[arg-type]


@pytest.mark.parametrize("huge", [10**400, 10**5000, 1e308, -(10**400)], ids=["400", "5000", "1e308", "-400"])
def test_numbers_beyond_all_bounds_are_refused(huge: Any) -> None:
    for field in ("memory_bytes", "latency_ms", "cores"):
        with pytest.raises(WorkloadError, match=field):
            Budget(**{field: huge})


@pytest.mark.parametrize("place", ["{}", "budget = {{ {} }}", "switch_charge = {{ {} }}"])
def test_a_field_of_any_name_is_unknown(tmp_path: Path, place: str) -> None:
    models = '[[models]]\nname = "faces"\nstore = "s"\n'
    for text in (place.format("self = 1") + "\n" + models, models + "self = 1\n"):
        with pytest.raises(WorkloadError, match="self: unknown field, got 1"):
            load_workload(write(tmp_path, text))


def test_reads_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text('[{}, {"memory": "3MB", "latency_ms": {"a": 2}}, {"memory_bytes": 5, "cores": 0.5}]')
    assert read_trace(path) == [
        Budget(),
        Budget(memory_bytes=3_000_000, latency_ms={"a": 2.0}),
        Budget(memory_bytes=5, cores=0.5),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "is not a JSON list of budgets"),
        ("[]", "is not a JSON list of budgets"),
        ("[5]", "is not a JSON list of budgets"),
        ('[{}, {"memry": 5}]', "budget 2: Budget: memry: unknown field, got 5"),
        ('[{"memory_bytes": NaN}]', "NaN is no JSON number"),
        ('[{"memory_bytes": ' + "9" * 4301 + "}]", "is not JSON"),
        ('[{"memory_bytes": ' + "9" * 400 + "}]", "budget 1: Budget: memory_bytes"),
        ('[{"cores": ' + "9" * 400 + "}]", "budget 1: Budget: cores"),
        ('[{"memory": "lots"}]', "budget 1: memory: 'lots' is not a size"),
        ('[{}, {"memory_bytes": 20000000, "memory_bytes": 900000}]', "'memory_bytes' is there twice"),
        ('[{"latency_ms": {"a": 5, "a": 1}}]', "'a' is there twice; leave one of them out"),
    ],
)
def test_refuses_a_trace_that_is_none_and_names_its_file(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "trace.json"
    path.write_text(text)
    with pytest.raises(WorkloadError, match=problem) as caught:
        read_trace(path)
    assert str(caught.value).startswith(str(path))


def test_a_workload_can_be_read_from_its_json_and_made_of_a_list() -> None:
    model = WorkloadModel(name="a", store="stores/a", rate_hz=5.0)
    listed: Any = [model]
    workload = Workload(models=listed, budget=Budget(latency_ms={"a": 3.0}))
    assert Workload.model_validate_json(workload.model_dump_json()) == workload
    assert workload.models == (model,)


def test_the_page_shows_every_field(tmp_path: Path) -> None:
    text = PAGE.read_text()
    toml, trace = (text.split(f"```{kind}\n")[1].split("```")[0] for kind in ("toml", "json"))
    (tmp_path / "workload.toml").write_text(toml)
    (tmp_path / "trace.json").write_text(trace)
    workload = load_workload(tmp_path / "workload.toml")
    assert [m.name for m in workload.models] == ["faces", "scenes"]
    assert workload.budget == Budget(memory_bytes=20_000_000, cores=2.0, latency_ms=30.0, quantile=0.95)
    for form in (Budget, SwitchCharge, WorkloadModel):
        assert not [name for name in form.model_fields if name not in toml]
    assert read_trace(tmp_path / "trace.json")[1:] == [
        Budget(memory_bytes=10_000_000),
        Budget(memory_bytes=10_000_000, latency_ms={"faces": 4.0}, quantile=0.9),
        Budget(cores=0.5),
    ]
