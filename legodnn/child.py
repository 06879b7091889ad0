"""The program that `processes.start_module` starts: it runs a module of this package, and ends when its parent ends.

    python child.py PARENT PACKAGE N FOLDER... MODULE ARGUMENT...

PARENT is the process id of the parent, PACKAGE the file of `legodnn`, and only the N folders are searched for modules.
When this file is run, Python would search its folder first. So the path is set before anything is imported that is not
built into the interpreter.
"""

import sys

_PARENT, _PACKAGE, _COUNT = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sys.path[:] = sys.argv[4 : 4 + _COUNT]
sys.argv[1:] = sys.argv[4 + _COUNT :]

import importlib.util  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

_EVERY_S = 1.0


def _load_package(file: str) -> None:
    """Import `legodnn` from a file, whether or not the search path has its folder."""
    spec = importlib.util.spec_from_file_location("legodnn", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {file}")
    sys.modules["legodnn"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


def _end_with(parent: int) -> None:
    """Wait until this process has another parent, because the one that started it has ended; then end it."""
    while os.getppid() == parent:
        time.sleep(_EVERY_S)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(_PARENT,), daemon=True).start()
    name = sys.argv.pop(1)
    try:
        _load_package(_PACKAGE)
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except ImportError as e:
        sys.exit(f"legodnn: {name} cannot start: {e}; what only the current folder holds is not used: install it")
