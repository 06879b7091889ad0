"""`legodnn inspect STORE --costs` tells what options and a plan cost, of measured figures alone.

Covers also: commands.roofline_drawing, profiler.roofline, runtime.tflite.cost.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from legodnn.cli import main
from legodnn.commands.costs import OptionCosts, StoreCosts, costs_document, costs_table
from legodnn.commands.roofline_drawing import draw_roofline
from legodnn.plan import ModelPlan
from legodnn.profile import Profile, default_path
from legodnn.profiler.probe_blocks import CONVOLUTION, layers_file
from legodnn.profiler.roofline import Roof
from legodnn.runtime.tflite.cost import bytes_moved, multiply_accumulates
from legodnn.runtime.tflite.model_file import parse_model_file
from legodnn.store import Store
from legodnn.tail import Condition, Tail
from tests.runtime.tflite.tflite_files import T, one, options, whole


def f(*shape: int) -> T:
    """Constant numbers."""
    return T(shape, 0, np.ones(shape, np.float32))


ROOF = Roof(threads=1, float32_macs_per_s=1e10, int8_macs_per_s=4e10, bytes_per_s=1e10)


def option(name: str, latency_ms: float | None, energy_mj: float | None = None) -> OptionCosts:
    least = ROOF.least_ms(1e7, 1e6, "float32")
    return OptionCosts("block1", name, 0.1, latency_ms, 1_000_000, 10_000_000, least, energy_mj)


def costs(*options: OptionCosts) -> StoreCosts:
    plan = ModelPlan(name="net", options={"block1": options[0].option}, accuracy=0.9, latency_ms=2.0)
    return StoreCosts("net", ROOF, options, plan, replace(options[0], segment="", option=""))


def test_a_convolution_moves_its_input_weights_bias_and_output_once() -> None:
    graph = parse_model_file(layers_file("float32", 8, [(CONVOLUTION, (6, 3, 3, 4))]))
    assert bytes_moved(graph) == 4 * (8 * 8 * 4 + 6 * 9 * 4 + 6 + 8 * 8 * 6)
    assert multiply_accumulates(graph) == 8 * 8 * 6 * 9 * 4


KERNELS = {
    "depthwise": (one("DEPTHWISE_CONV_2D", [T((1, 4, 4, 2)), f(1, 3, 3, 4), None], [T((1, 4, 4, 4))]), 64 * 9),
    "dense": (one("FULLY_CONNECTED", [T((1, 8)), f(3, 8), None], [T((1, 3))]), 3 * 8),
    "transposed": (
        one("TRANSPOSE_CONV", [whole(1, 8, 8, 3), f(3, 3, 3, 2), T((1, 4, 4, 2))], [T((1, 8, 8, 3))]),
        32 * 27,
    ),
    "matrices": (one("BATCH_MATMUL", [T((1, 4, 5)), T((1, 5, 3))], [T((1, 4, 3))]), 12 * 5),
    "matrices, the first transposed": (
        one("BATCH_MATMUL", [T((1, 5, 4)), T((1, 5, 3))], [T((1, 4, 3))], options("BatchMatMulOptions", adjX=True)),
        12 * 5,
    ),
    "volumes": (one("CONV_3D", [T((1, 4, 4, 4, 2)), f(1, 2, 3, 2, 5)], [T((1, 4, 4, 4, 5))]), 320 * 12),
    "transposed volumes": (
        one("CONV_3D_TRANSPOSE", [whole(1, 4, 4, 8, 3), f(1, 1, 2, 3, 2), T((1, 4, 4, 4, 2))], [T((1, 4, 4, 8, 3))]),
        128 * 6,
    ),
    "a sum": (one("ADD", [T((1, 8)), T((1, 8))], [T((1, 8))]), 0),
}


@pytest.mark.parametrize("kind", KERNELS)
def test_each_kind_multiplies_as_often_as_its_weights_are_used(kind: str) -> None:
    content, expected = KERNELS[kind]
    assert multiply_accumulates(parse_model_file(content)) == expected


def test_the_roof_is_the_slower_of_computing_and_moving() -> None:
    assert ROOF.least_ms(1e7, 1e6, "float32") == pytest.approx(1.0)
    assert ROOF.least_ms(1e7, 1e6, "int8") == pytest.approx(0.25)
    assert ROOF.least_ms(1e7, 2e7, "int8") == pytest.approx(2.0)
    assert ROOF.peak("float16") == ROOF.peak("float32")


def test_what_was_not_measured_is_absent() -> None:
    found = costs(option("s0", 2.0), option("s0.5", None))
    document = json.loads(json.dumps(costs_document(found)))
    assert [o["of_roof"] for o in document["options"]] == [pytest.approx(0.5), None]
    assert [o["energy_mj"] for o in document["options"]] == [None, None]
    assert document["plan"]["inferences_per_s"] == pytest.approx(500)
    assert "energy: not measured" in costs_table(found)
    with_energy = costs_table(costs(option("s0", 2.0, 3.5)))
    assert "3.5 mJ" in with_energy
    assert "not measured" not in with_energy


@pytest.mark.parametrize(("ms", "rate"), [(0.024, "41,667"), (2.0, "500"), (400.0, "2.5")])
def test_rates_are_told_as_people_write_them(ms: float, rate: str) -> None:
    found = costs(option("s0", ms))
    found = replace(found, plan=found.plan.model_copy(update={"latency_ms": ms}))
    assert f" ms, {rate} inferences/s; " in costs_table(found)


def test_the_drawing_has_a_dot_for_each_measured_option() -> None:
    root = ElementTree.fromstring(draw_roofline(costs(option("s0", 2.0), option("s<1", 4.0), option("s2", None))))
    dots = [e for e in root if e.tag.endswith("circle")]
    assert [dot[0].text for dot in dots] == ["block1 s0", "block1 s<1"]
    assert float(dots[0].get("cy", 0)) < float(dots[1].get("cy", 0))  # the faster one is higher


@pytest.fixture
def profiled(store_copy: Path, profile: Profile) -> Path:
    profile.save(default_path(store_copy))
    return store_copy


def test_the_costs_of_a_store_add_up(profiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = tmp_path / "roof.svg"
    assert main(["inspect", str(profiled), "--costs", "--json", "--draw", str(drawing)]) == 0
    document = json.loads(capsys.readouterr().out)
    store = Store(profiled)
    assert len(document["options"]) == sum(len(s.options) for s in store.manifest.segments)
    originals = [o for o in document["options"] if o["option"] == "s0"]
    assert document["plan"]["macs"] == sum(o["macs"] for o in originals)
    assert document["plan"]["moved_bytes"] == sum(o["moved_bytes"] for o in originals)
    assert document["plan"]["energy_mj"] is None
    assert all(document["roof"][k] > 0 for k in ("float32_macs_per_s", "int8_macs_per_s", "bytes_per_s"))
    assert drawing.read_text().startswith("<svg")


@pytest.mark.parametrize("whose", ["", "copy="])
def test_the_plan_is_the_one_of_legodnn_plan(
    whose: str, store_copy: Path, profile: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    stretches: dict[Condition, float] = {"alone": 1.0, "after": 100.0}
    tails = tuple(
        Tail(threads=n, condition=condition, inferences=100, quantiles=(0.95,), stretch=(stretch,))
        for n in (1, 2)
        for condition, stretch in stretches.items()
    )
    profile.model_copy(update={"tail": tails}).save(default_path(store_copy))
    assert main(["plan", str(store_copy), "--json"]) == 0
    original_ms = json.loads(capsys.readouterr().out)["plan"]["models"][0]["latency_ms"]
    limit = ["--latency", f"{whose}{2 * original_ms}"]  # no plan of a model that runs after others would hold it
    assert main(["plan", str(store_copy), *limit, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["plan"]["models"][0]
    assert main(["inspect", str(store_copy), "--costs", *limit, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["plan"]
    same = ("options", "threads", "latency_ms", "memory_bytes", "accuracy")
    assert [shown[key] for key in same] == [planned[key] for key in same]


def test_what_does_not_go_together_is_refused(
    profiled: Path, tiny_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, message in (
        (["--memory", "1MB"], "add --costs"),
        (["--costs", "--draw", "x.png"], "must end in .svg or .html"),
        (["--costs", "--memory", "1kB"], "no plan holds"),
    ):
        assert main(["inspect", str(profiled), *flags]) == 1
        assert message in capsys.readouterr().err
    default_path(profiled).unlink()
    assert main(["inspect", str(profiled), "--costs"]) == 1
    assert "legodnn profile" in capsys.readouterr().err
    assert main(["inspect", "resnet20", "--costs"]) == 1
    assert "is for stores" in capsys.readouterr().err


def test_a_file_that_no_device_runs_is_named(
    profiled: Path, profile: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((profiled / "manifest.json").read_text())
    entry = manifest["segments"][0]["options"][0]
    content = b"no flatbuffer at all"
    (profiled / entry["file"]).write_bytes(content)
    entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (profiled / "manifest.json").write_text(json.dumps(manifest))
    profile.model_copy(update={"store_id": Store(profiled).id}).save(default_path(profiled))
    assert main(["inspect", str(profiled), "--costs"]) == 1
    assert "block1/s0) is refused" in capsys.readouterr().err
