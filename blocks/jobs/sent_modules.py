"""Modules of the user's own that go with jobs to other machines: a model's function, say, and what it imports.

All modules that were imported from the current folder are sent, as text. Other modules must be installed there.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_NOT_SENT = ("__main__", "__mp_main__", "legodnn")


def modules_to_send() -> str:
    """Return the imported modules of the current folder as JSON: by name, whether it is a package, and its text."""
    here, installed = Path.cwd(), Path(sys.prefix)
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or not file.endswith(".py") or name.partition(".")[0] in _NOT_SENT:
            continue
        path = Path(file).absolute()
        if path.is_relative_to(here) and not path.is_relative_to(installed) and "site-packages" not in path.parts:
            found[name] = [hasattr(module, "__path__"), path.read_text(encoding="utf-8")]
    return json.dumps(found)


def take_modules(sent: str) -> None:
    """Let modules that `modules_to_send` returned be imported here, where nothing else has their names."""
    if not any(isinstance(finder, _SentModules) and finder.sent == sent for finder in sys.meta_path):
        sys.meta_path.append(_SentModules(sent))


class _SentModules(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads modules whose texts were sent."""

    def __init__(self, sent: str) -> None:
        self.sent = sent
        self._modules: Mapping[str, tuple[bool, str]] = json.loads(sent)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=self.is_package(fullname))

    def is_package(self, fullname: str) -> bool:
        return self._modules[fullname][0]

    def get_source(self, fullname: str) -> str:
        return self._modules[fullname][1]
