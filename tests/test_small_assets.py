"""The small networks that the Android app has where no demo was built: they are small, whole, and know their digits."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from android_demo.tools.pack_assets import pack
from legodnn.errors import StoreError
from legodnn.profile import Profile
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.planning.scheduler import ModelTable, Scheduler
from legodnn.store import Store
from legodnn.workload import Budget

ASSETS = Path(__file__).parents[1] / "android_demo/small-assets"
NAMES = ("plain", "residual")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The test digits as the app reads them, and what they are."""
    content = (ASSETS / "digits.bin").read_bytes()
    count, values = struct.unpack_from(">ii", content)
    labels = np.frombuffer(content, np.uint8, count, 8)
    pixels = np.frombuffer(content, "<f4", count * values, 8 + count)
    return pixels.reshape(count, 16, 16, 1), labels


def test_they_are_small_and_there_is_nothing_else() -> None:
    files = {f.relative_to(ASSETS).as_posix(): f.stat().st_size for f in ASSETS.rglob("*") if f.is_file()}
    stores = [Store(ASSETS / "stores" / name) for name in NAMES]
    expected = {"digits.bin", "workload.json", *(f"profiles/{name}.profile.json" for name in NAMES)}
    for store in stores:
        options = {option.file for segment in store.manifest.segments for option in segment.options}
        expected |= {f"stores/{store.name}/{file}" for file in ("manifest.json", *options)}
    assert files.keys() == expected
    assert sum(files.values()) < 1_000_000


def test_they_are_what_packing_makes_of_their_stores_and_digits(tmp_path: Path) -> None:
    shutil.copytree(ASSETS / "stores", tmp_path / "stores")
    for name in NAMES:
        shutil.copy(ASSETS / "profiles" / f"{name}.profile.json", tmp_path / "stores")
    x, y = digits()
    np.savez(tmp_path / "digits.npz", x=x, y=y)
    out = tmp_path / "assets"
    out.mkdir()
    (out / "of an earlier time").touch()
    lines = pack(tmp_path, out)
    assert [line.partition(":")[0] for line in lines] == [*NAMES, "digits"]
    packed, there = (
        {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()} for folder in (out, ASSETS)
    )
    assert packed == there


@pytest.mark.parametrize("missing", ["stores", "digits.npz"])
def test_a_demo_that_is_not_whole_is_not_packed(tmp_path: Path, missing: str) -> None:
    shutil.copytree(ASSETS / "stores", tmp_path / ("stores" if missing != "stores" else "others"))
    with pytest.raises(StoreError, match=f"{missing} .*`legodnn demo` writes"):
        pack(tmp_path, tmp_path / "assets")
    assert not (tmp_path / "assets").exists()


@pytest.mark.parametrize("name", NAMES)
def test_plans_are_as_accurate_as_predicted(name: str) -> None:
    store = Store(ASSETS / "stores" / name)
    profile = Profile.load(ASSETS / "profiles" / f"{name}.profile.json")
    profile.check_store(store)
    assert {e.threads for o in profile.options for e in o.latency} == {1, 2, 4}
    table = ModelTable.from_store(store, profile)
    scheduler, (x, y) = Scheduler([table]), digits()
    whole = scheduler.plan(Budget())
    sizes = [[o.memory_bytes for o in profile.options if o.segment == s.name] for s in store.manifest.segments]
    least = sum(map(min, sizes))
    executor = open_executor(store, "interpreter")
    for share in (1.0, 0.5):
        budget = Budget(memory_bytes=int(least + share * (whole.memory_bytes - least)))
        (plan,) = scheduler.plan(budget).models
        segments = store.manifest.segments
        model = executor.compose(tuple(Choice(s.name, plan.options.get(s.name, s.original.name), 1) for s in segments))
        right = sum(
            int(np.argmax(model.run({"image": image})[store.manifest.outputs[0]]) == label)
            for image, label in zip(x, y, strict=True)
        )
        assert right / len(y) == pytest.approx(plan.accuracy, abs=0.06)
        assert share < 1 or plan.accuracy > 0.95
    executor.close()
