"""Write a page of the messages of all errors and warnings, where who meets one finds it by its words.

    python docs/messages.py        # writes docs/reference/messages.md; a test says when the code is no longer so

The code is read, not run. A message is a text that an error is made of, that a function returns as what is wrong, that
the service answers with, or that is logged as a warning. Where a value is put in, its name stands in capitals, or "…".
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "messages.md"

# What somebody is doing where these modules and folders refuse it. The longest name that a path begins with counts.
AREAS = {
    "The command line": "legodnn/commands legodnn/cli",
    "Stores": "legodnn/store legodnn/manifest legodnn/savings legodnn/tensor_spec",
    "Profiles": "legodnn/profile legodnn/learned legodnn/tail legodnn/widths_table",
    "Workloads, budgets and plans": "legodnn/workload legodnn/by_model legodnn/units legodnn/plan",
    "Recipes, and the names of models and functions": "legodnn/recipe legodnn/model_names legodnn/compression "
    "legodnn/user_function",
    "Files and folders": "legodnn",
    "Images and arrays": "legodnn/image legodnn/array legodnn/pixels legodnn/folders",
    "What outputs hold: readings, boxes, key points": "legodnn/tasks legodnn/readings legodnn/checked_outputs",
    "Building: the recipe, its files, and going on with a build": "blocks",
    "Building: models and data": "blocks/importing blocks/zoo",
    "Building: labels of images": "blocks/importing/annotations",
    "Building: .tflite files as models": "blocks/importing/tflite",
    "Building: PyTorch modules": "blocks/from_torch",
    "Building: cutting and pruning": "blocks/cutting blocks/channels blocks/pruning",
    "Building: training": "blocks/training",
    "Building: accuracy and metrics": "blocks/accuracy",
    "Building: converting to .tflite": "blocks/export",
    "Building: processes and clusters": "blocks/jobs",
    "Packing .tflite files": "runtime/whole_models",
    "Profiling": "profiler",
    "Planning": "runtime/planning",
    "Running": "runtime",
    "Running: executors and packed weights": "runtime/executors",
    "Running: .tflite files that are refused": "runtime/tflite",
    "Running: inputs, cameras and predictions": "runtime/feeds",
    "Governing": "runtime/governing runtime/device",
    "The HTTP service": "runtime/serving",
}
Texts = dict[str, list[ast.expr]]  # by the name that they are given, which in some cases is another one

PART = "In another message, after what it is about"
USAGE = "Wrong command line"
WARNING = "Warning"
INTRODUCTION = """\
# Messages

Every message of an error or a warning, by what was being done. Search this page for a few words of yours that are no
names or numbers: what differs from case to case stands here in CAPITALS or as …, and what is there in some cases only,
in (brackets). A message says what to do; [troubleshooting](../troubleshooting.md) has more on some.

Commands print `legodnn: MESSAGE` and end with exit status 1, after a wrong command line with 2; `--debug` shows where
it was raised. Applications get the [class](errors.md) that stands above the message; where that is `LegoError`, it is
the class that fits where the value came from. The service answers `{"error": "MESSAGE"}` with a
[status](../serve.md#when-a-request-is-refused).
"""


def messages() -> dict[str, dict[str, list[str]]]:
    """Return the messages of each area, by label: the error's class, or what it is instead."""
    rooms = ("legodnn", "blocks", "runtime", "profiler")
    paths = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    trees = {path.relative_to(ROOT).with_suffix("").as_posix(): ast.parse(path.read_text()) for path in paths}
    labels = _labels([node for tree in trees.values() for node in ast.walk(tree)])
    public = {name: texts for tree in trees.values() for name, texts in _texts(tree.body).items() if name.isupper()}
    prefixes = {prefix: area for area, prefixes in AREAS.items() for prefix in prefixes.split()}
    found: dict[str, dict[str, list[str]]] = {area: defaultdict(list) for area in AREAS}
    for path, tree in trees.items():
        area = found[prefixes[max((p for p in prefixes if path.startswith(p)), key=len)]]
        names = {**public, **_texts(ast.walk(tree))}
        for _, label, nodes in sorted(_told(tree, labels), key=lambda told: told[:2]):
            for text in (_shown(node, names) for node in nodes):
                if len(re.findall(r"\b[a-z]{2,}\b", text)) > 1 and text not in area[label]:
                    area[label].append(text)
    return found


def _told(tree: ast.Module, labels: Mapping[str, str]) -> Iterator[tuple[int, str, Sequence[ast.expr]]]:
    """Yield where messages may be: the line, what to call them, and what may be their texts."""
    for node in ast.walk(tree):
        match node:
            case ast.Raise(exc=ast.Call(func=func, args=args)) if not _name(func).endswith("Error"):
                yield node.lineno, labels.get(_name(func), "LegoError"), args
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr="warning" | "error"), args=args):
                yield node.lineno, WARNING, args[:1]
            case ast.Call(func=ast.Attribute(value=ast.Name(id="warnings"), attr="append"), args=args):
                yield node.lineno, WARNING, args
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr="error"), args=args):
                yield node.lineno, USAGE, args
            case ast.Call(func=func, args=args) if _name(func) in labels:
                yield node.lineno, labels[_name(func)], args
            case ast.FunctionDef(returns=ast.BinOp() as returns) if ast.unparse(returns) == "str | None":
                yield node.lineno, PART, _returned(node)  # what is wrong, or nothing
            case ast.ClassDef(name=name) if f"{name}Error" in labels:  # a report, which is the error's text
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name == "__str__":
                        yield node.lineno, f"{name}Error", _returned(method)
            case ast.Tuple(elts=[ast.Constant(value=int(status)), text]) if 400 <= status < 600:
                yield node.lineno, f"HTTP status {status}", [text]
            case ast.Dict(keys=[ast.Constant(value="error")], values=values):
                yield node.lineno, "HTTP", values


def _returned(function: ast.FunctionDef) -> list[ast.expr]:
    return [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]


def _labels(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """Return what to call the errors of each class, public ones by their name, and of functions that return them."""
    bases = {node.name: _name(node.bases[0]) for node in nodes if isinstance(node, ast.ClassDef) and node.bases}
    labels = {"ArgumentTypeError": USAGE, "ValueError": PART, "TypeError": PART, "UnpicklingError": PART}
    for name in bases:
        line = [name]
        while line[-1] in bases:
            line.append(bases[line[-1]])
        if line[-1] == "Exception":
            labels[name] = next((base for base in line if base.endswith("Error")), PART)
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.returns and (made := ast.unparse(node.returns)) in labels:
            labels[node.name] = labels[made]
    return labels


def _texts(nodes: Iterable[ast.AST]) -> Texts:
    """Return what the names of constants, variables and private attributes stand for, where that is a text of words."""
    found: Texts = defaultdict(list)
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr | ast.IfExp):
            name, parts = _name(node.targets[0]), [n for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
            if name.isupper() or any(re.search("[a-z]{2} [a-z]{2}", str(part.value)) for part in parts):
                found[name].append(node.value)
    return found


def _shown(node: ast.expr, names: Texts) -> str:
    """Return a message as the page has it."""
    text = re.sub(r"(?<=\w)\0\w*\0|\0\w*\0(?=\w)", "…", _text(node, names)).replace("\0", "")
    return " ".join(re.sub(r"%[-\d.]*[a-z]", "…", text).split())


def _text(node: ast.expr, names: Texts) -> str:
    """Return what a message has in a place, with a zero where a value that is put in begins and ends."""
    match node:
        case ast.Constant(value=value):
            return f"{value:g}" if isinstance(value, float) else str(value)
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, names) for part in parts)
        case ast.FormattedValue(value=value, conversion=conversion):
            quote = "'" if conversion == ord("r") else "\0"
            return f"{quote}{_text(value, names)}{quote}"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, names) + _text(right, names)
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mult()):
            return f"({text})"
        case ast.IfExp(body=body, orelse=orelse):
            return f"({' / '.join(filter(None, (_text(body, names), _text(orelse, names))))})"
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self"), attr=name) if name in names:
            told = [_text(text, {n: texts for n, texts in names.items() if n != name}) for text in names[name]]
            return told[0] if len(told) == 1 else f"({' / '.join(told)})"
        case ast.Call(func=ast.Name(), args=[first]) if _name(first):
            return _text(first, names)
        case ast.Name() | ast.Attribute() if len(_name(node)) > 1:
            return _name(node).strip("_").upper()
    return "…"


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def page() -> str:
    """Return the page."""
    lines = [INTRODUCTION.rstrip()]
    for area, by_label in messages().items():
        lines.append(f"\n## {area}")
        for label, texts in sorted(by_label.items(), key=lambda told: (not told[0].endswith("Error"), told[0])):
            lines.append(f"\n**{label}**\n")
            lines += [f"- `` {text} ``" if "`" in text else f"- `{text}`" for text in texts]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
