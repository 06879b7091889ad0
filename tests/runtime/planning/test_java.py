"""The Java library runs real stores: TensorFlow Lite's Java API with its native library for x86-64 Linux.

TensorFlow publishes that library for Android only. The Deep Java Library has built one for Linux, of TensorFlow Lite
2.6.2, which goes with the Java classes of 2.6.0. Both come from Maven Central, pinned, into the user's cache folder.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import urllib.error
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legodnn.errors import InfeasibleError
from legodnn.profile import Profile
from legodnn.runtime.executors.base import Choice
from legodnn.runtime.executors.select import open_executor
from legodnn.runtime.planning.scheduler import ModelTable, Scheduler
from legodnn.store import Store
from legodnn.workload import Budget
from tests.benchmarks.scripts import load
from tests.data.large_head import build_large_head

LIBRARY = Path(__file__).parents[3] / "android_demo/lego-runtime"
CLASSES = (
    "org/tensorflow/tensorflow-lite/2.6.0/tensorflow-lite-2.6.0.aar",
    "f7dcd32a48dc348ee2eea2bed37044354a21e43dfdf507b6a73b40b05d5793ea",
)
NATIVE = (
    "ai/djl/tflite/tflite-native-cpu/2.6.2/tflite-native-cpu-2.6.2-linux-x86_64.jar",
    "aa8ae00d9b39489d03aa76f388019da6a086eee99a22f7d7a31e4b5a09003c8e",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("javac") is None, reason="needs a JDK"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the native library is for x86-64"),
]


@pytest.fixture(scope="module")
def downloads() -> dict[str, Path]:
    """What is needed of Maven Central, from the cache if it is there."""
    maven = load("support.maven")
    try:
        return {
            "classes": maven.central(*CLASSES),
            "native": maven.central(*NATIVE),
            "jspecify": maven.central(*maven.JSPECIFY),
        }
    except urllib.error.URLError as e:
        pytest.skip(f"Maven Central cannot be reached: {e}")


@pytest.fixture(scope="module")
def java(downloads: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs org.legodnn.RunStore."""
    folder = tmp_path_factory.mktemp("java")
    with zipfile.ZipFile(downloads["classes"]) as archive:
        archive.extract("classes.jar", folder)
    with zipfile.ZipFile(downloads["native"]) as archive:
        archive.extract("native/lib/libtensorflowlite_jni.so", folder)
    path = [str(folder / "out"), str(folder / "classes.jar"), str(downloads["jspecify"])]
    sources = f"{LIBRARY}/src/main/java:{LIBRARY}/src/test/java"
    program = LIBRARY / "src/test/java/org/legodnn/RunStore.java"
    command = ["javac", "--release", "8", "-Xlint:-options", "-sourcepath", sources, "-cp", ":".join(path[1:])]
    subprocess.run([*command, "-d", path[0], str(program)], check=True)
    return ["java", f"-Djava.library.path={folder}/native/lib", "-cp", ":".join(path), "org.legodnn.RunStore"]


def test_java_gives_what_python_gives(java: list[str], tiny_store: Store, tmp_path: Path) -> None:
    assert compared(java, tiny_store, tmp_path) >= 8


def test_java_runs_a_head_that_is_a_choice_of_precisions(java: list[str], tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    store = build_large_head(tmp_path, ("float32", "float16"))  # dense layers in int8 are zeros in this old version
    assert [o.name for o in store.manifest.blocks[-1].options] == ["s0", "s0-float16"]
    assert store.manifest.blocks[-1].name == store.manifest.segments[-1].name == "head"
    assert compared(java, store, tmp_path) >= 8


def compared(java: list[str], store: Store, tmp_path: Path) -> int:
    """How many plans of a store Java runs, each with the outputs that Python has."""
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, store.manifest.inputs[0].shape).astype("<f4")
    (tmp_path / "image").write_bytes(image.tobytes())
    shares = ["1.0", "0.9", "0.7", "0.5", "0.01", "1.0"]
    command = [*java, str(store.path), str(tmp_path / "profile.json"), str(tmp_path / "image"), *shares]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])

    profile = Profile.load(tmp_path / "profile.json")
    profile.check_store(store)
    assert profile.device.executor == found["executor"] == "tensorflow-lite 2.6.2"
    assert {e.threads for o in profile.options for e in o.latency} == {1, 2}

    table = ModelTable.from_store(store, profile)
    answers = found["answers"]
    assert len(answers) == len(shares) + sum(len(b.options) for b in store.manifest.blocks)
    assert answers[0]["loaded"] == [], "nothing changes where the first budget is what the plan takes"
    for answer in answers[: len(shares)]:
        check_plan(table, answer)
    count = 0
    for answer in answers:
        if answer["plan"] is not None:
            count += 1
            options, threads = answer["plan"]["models"][0]["options"], answer["plan"]["models"][0]["threads"]
            np.testing.assert_allclose(answer["output"], output_of(store, options, threads, image), atol=1e-4)
    assert any(answer["plan"] is None for answer in answers), "a hundredth of the memory is not enough"
    return count


def check_plan(table: ModelTable, answer: Any) -> None:
    """Python plans the same of Java's profile."""
    try:
        plan = Scheduler([table]).plan(Budget(memory_bytes=answer["memory_bytes"]))
    except InfeasibleError:
        assert answer["plan"] is None
        return
    # A tie may go to what ran before.
    assert answer["plan"]["objective"] == pytest.approx(plan.objective, abs=1e-9)
    assert sum(m["memory_bytes"] for m in answer["plan"]["models"]) <= answer["memory_bytes"]


def output_of(store: Store, options: dict[str, str], threads: int, image: np.ndarray) -> np.ndarray:
    """What the Interpreter gives for a composition."""
    executor = open_executor(store, "interpreter")
    choices = tuple(Choice(s.name, options.get(s.name, s.original.name), threads) for s in store.manifest.segments)
    outputs = executor.compose(choices).run({store.manifest.inputs[0].name: image})
    executor.close()
    return next(iter(outputs.values()))
