"""What all tests share: two tiny stores with their profiles, built once a session by the real offline stage.

Without Keras, as on a device, the stores are those of tests/data: the tests of runtime, profiler and commands then need
only the base dependencies, pytest and hypothesis. `.ci/device` runs them so.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from legodnn.profile import Profile, default_path
from legodnn.store import Store
from tests.data import tiny_stores

KERAS = all(importlib.util.find_spec(name) for name in ("keras", "tensorflow"))
# Before any test module imports TensorFlow, as `legodnn.blocks._backend` sets it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give the tests a cache of packed weights of their own."""
    os.environ["LEGODNN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


# A shell's background jobs ignore Ctrl-C, and jobs under nohup ignore a hang-up; processes that tests start would
# inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need LiteRT's C API where it cannot be called, as on 32-bit ARM."""
    params = item.callspec.params.values() if hasattr(item, "callspec") else ()
    if item.get_closest_marker("capi") or any(isinstance(p, str) and p == "capi" for p in params):
        from legodnn.runtime.executors import litert_capi

        if problem := litert_capi.capi_problem():
            pytest.skip(f"LiteRT's C API cannot be called: {problem}")


# No deadline, since examples run Keras and use files on machines that are shared; and the same examples every time.
settings.register_profile("legodnn", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("legodnn")


@pytest.fixture(scope="session")
def tiny_keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an untrained Keras model for 12x12 digits: a plain block, a residual block and a head."""
    if not KERAS:
        pytest.skip("Keras and TensorFlow are not installed")
    return tiny_stores.save_tiny_model(tmp_path_factory.mktemp("models") / "tiny.keras")


@pytest.fixture(scope="session")
def tiny_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of two blocks with two descendants each; its profile lies at `default_path(store.path)`.

    Read only: a test that damages a store copies it first (`store_copy`).
    """
    path = tmp_path_factory.mktemp("stores") / "tiny"
    if KERAS:
        return _profiled(tiny_stores.build_tiny(request.getfixturevalue("tiny_keras_file"), path))
    return _profiled(Store(shutil.copytree(tiny_stores.HERE / "tiny", path)))


@pytest.fixture(scope="session")
def tiny_store2(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Another model's store, with two plain blocks and one descendant each, and its profile beside it."""
    folder = tmp_path_factory.mktemp("stores2")
    if KERAS:
        model = tiny_stores.save_tiny_model2(folder / "tiny2.keras")
        return _profiled(tiny_stores.build_tiny2(model, folder / "tiny2"))
    return _profiled(Store(shutil.copytree(tiny_stores.HERE / "tiny2", folder / "tiny2")))


@pytest.fixture
def profile(tiny_store: Store) -> Profile:
    """The profile of `tiny_store`."""
    return Profile.load(default_path(tiny_store.path))


@pytest.fixture
def store_copy(tiny_store: Store, tmp_path: Path) -> Path:
    """The folder of a copy of `tiny_store` (without its profile), to be damaged at will."""
    return Path(shutil.copytree(tiny_store.path, tmp_path / "copy"))


def _profiled(store: Store) -> Store:
    from legodnn.profiler import Effort, profile_store

    profile = profile_store(store, Effort(threads=(1, 2), seconds=0.5, processes=1, plans=6))
    # Of stores this small it is by chance whether a workspace is told apart. No test should depend on that.
    options = tuple(o.model_copy(update={"own_bytes": None, "workspace_bytes": None}) for o in profile.options)
    profile.model_copy(update={"options": options}).save(default_path(store.path))
    return store
