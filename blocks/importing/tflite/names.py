"""Names of tensors in a `.tflite` file, as layers can have them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LONGEST_NAME = 60
# litert-torch calls a tensor after the modules that made it, a path of MODULE.CLASS_ATTRIBUTE for each of several that
# were fused, with `;;` between them, and `;` and perhaps a number at the end. The class may be one inside a function.
_TORCH = re.compile(r"[\w.<>]+\.(\w+)")
_WEIGHTED = re.compile(r"\.(conv|linear)\.")


def valid_name(name: str) -> str:
    """Return a tensor's name as a layer can have it: of fused operators the first, of letters, digits, `_` and `-`.

    A dot is left to names of further layers of one operator, so that these are no tensor's.
    """
    first = _attributes(name) or name.partition(";")[0].strip("/")
    found = re.sub(r"[^A-Za-z0-9_-]+", "_", first)[-_LONGEST_NAME:].strip("_-")
    return found or "tensor"


def unique_names(names: Sequence[str]) -> list[str]:
    """Return names of which those that came before get numbers."""
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _attributes(name: str) -> str:
    """Return the attributes that lead to a PyTorch module, such as `layer1_0_conv1`; empty for other names.

    Of a fused convolution or dense layer it is that layer's; otherwise the first module's. What the outermost module
    computes itself has the name of its class.
    """
    paths = [part.split("/") for part in name.split(";") if part.strip("0123456789")]
    if ";" not in name or not paths or not all(_TORCH.fullmatch(step) for path in paths for step in path):
        return ""
    path = next((p for p in paths if _WEIGHTED.search(p[-1])), paths[0])
    # Above the user's own module there may be the one that turns images (`blocks.from_torch.module`).
    inner = path[2 if path[0].startswith("legodnn.") else 1 :]
    attributes = "_".join(step.rpartition(".")[2].partition("_")[2] for step in inner)
    return attributes or path[-1].rpartition(".")[2].partition("_")[0]
