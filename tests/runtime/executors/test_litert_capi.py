"""LiteRT's C API is tried out before it is used, and replaced where it does not do what is assumed of it."""

from __future__ import annotations

import subprocess
import sys

import pytest


def program(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


@pytest.mark.capi
def test_a_library_that_fails_its_self_test_is_replaced_with_a_warning() -> None:
    done = program(
        "from legodnn.runtime.executors import litert_capi\n"
        "litert_capi._SIZES[litert_capi._TensorType] = 71\n"
        "from legodnn.runtime.executors.select import executor_kind\n"
        "print(executor_kind())\n"
        "executor_kind('capi')"
    )
    assert done.stdout.strip() == "interpreter"
    assert "called through the Interpreter, slower to switch: _TensorType has 72 bytes instead of 71" in done.stderr
    assert "DependencyError: LiteRT's C API cannot be used" in done.stderr


@pytest.mark.capi
def test_an_untried_version_is_first_tried_in_a_process_of_its_own() -> None:
    text = (
        "from legodnn.runtime.executors import litert_capi as capi\n"
        "capi._TESTED_VERSIONS = ()\n{}print(capi.capi_problem())"
    )
    assert program(text.format("")).stdout.strip() == "None"
    spoiled = program(text.format("import sys; sys.executable = '/bin/false'\n"))
    assert "the self-test ended with status" in spoiled.stdout
