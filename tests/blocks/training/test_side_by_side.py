"""On two processors an operation has one thread while blocks are trained, unless the user says otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# What is printed is TensorFlow's number of threads for an operation; 0 is its default, as many as there are processors.
CODE = """
import os
os.sched_getaffinity = lambda process: range({processors})
{before}
from legodnn.blocks.training.side_by_side import run_side_by_side
run_side_by_side()
import tensorflow
print(tensorflow.config.threading.get_intra_op_parallelism_threads())
"""


BUILD = """
import os
os.sched_getaffinity = lambda process: range(2)
from legodnn.blocks import Recipe, build
from legodnn.errors import ModelError
try:
    build(Recipe(model="nowhere.keras", name="x"), "nowhere")
except ModelError:
    import tensorflow
    print(tensorflow.config.threading.get_intra_op_parallelism_threads())
"""


def run(code: str, **environment: str) -> str:
    """The last word that a fresh interpreter prints, without the variables that the tests set for themselves."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


@pytest.mark.parametrize(
    ("processors", "before", "environment", "threads"),
    [
        (2, "", {}, 1),
        (8, "", {}, 0),
        (2, "", {"TF_NUM_INTRAOP_THREADS": "2"}, 0),
        (2, "import tensorflow; tensorflow.zeros(1)", {}, 0),
    ],
)
def test_threads(processors: int, before: str, environment: dict[str, str], threads: int) -> None:
    assert run(CODE.format(processors=processors, before=before), **environment) == str(threads)


def test_a_build_trains_so() -> None:
    assert run(BUILD) == "1"
