"""The parser that all commands share: flags may stand anywhere, and a list is one word with commas.

    legodnn profile STORE --threads 1,2 STORE
    legodnn profile STORE --threads 1 --threads 2

A list never takes the word behind it, which may be what the command works on. `--threads 1 2` is refused with the way
to write it.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from legodnn.errors import LegoError
from legodnn.files import with_home

# A flag that sets the recipe's field of the same name: name, type, metavar, help.
RecipeFlag = tuple[str, type, str, str]
_SOURCE_FIELDS: tuple[RecipeFlag, ...] = (
    (
        "data",
        str,
        "DATA",
        "digits, cifar10[:DIR], images:DIR, npz:FILE, module:function, or masks:, voc:, coco:, coco_points:, points:, "
        "clips: or one_class:DIR, see docs/build.md (default: digits)",
    ),
    (
        "image_size",
        int,
        "PIXELS",
        "height and width of digits and image folders (default: what MODEL takes; 32 for vgg16 ... resnet56, and for "
        "names in keras.applications without --weights imagenet)",
    ),
    ("weights", str, "FILE", ".npz of CIFAR weights, a .weights.h5 file, or imagenet for keras.applications"),
    ("width", float, "FACTOR", "factor for the numbers of channels of vgg16 ... resnet56 (default: 1)"),
)


@dataclass(frozen=True)
class _ListFlag:
    flag: str
    dest: str
    item: Callable[[str], object]

    def split(self, text: str) -> list[object]:
        """Return the items of a word. In a list of [NAME=]PATH only a comma before NAME= divides: paths hold commas."""
        words = re.split(r",(?=[^,=/]+=)", text) if self.item is str else text.split(",")
        return [self.item(word.strip()) for word in words]

    def accepts(self, word: str) -> bool:
        """Return whether a word is surely an item. Any text could be a PATH, so there only NAME=PATH counts."""
        try:
            self.item(word)
        except (ValueError, argparse.ArgumentTypeError, LegoError):
            return False
        return self.item is not str or "=" in word


class _HelpFormatter(argparse.HelpFormatter):
    """Wraps paragraphs to the terminal, and leaves lines that begin with a space as they are: commands to copy."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = text.splitlines()
        return "\n".join(line if line.startswith(" ") else textwrap.fill(line, width) for line in lines)


class _StoreOnce(argparse.Action):
    """Keeps the value of a flag, and refuses another one, which argparse would take without a word."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        if option_string and isinstance(parser, CommandParser):
            if self.dest in parser.given:
                before = getattr(namespace, self.dest)
                parser.error(f"argument {option_string}: given twice, {before} and {values}; leave one out")
            parser.given.add(self.dest)
        setattr(namespace, self.dest, values)


class CommandParser(argparse.ArgumentParser):
    """A parser with list flags, which takes positional arguments between flags too, and --debug everywhere.

    Attributes:
        given: what flags of one value were given so far, by the names of their attributes.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": _HelpFormatter, **settings})
        self._lists: list[_ListFlag] = []
        self.given: set[str] = set()
        for action in (None, "store"):
            self.register("action", action, _StoreOnce)
        self.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,
            help="show debugging notes, and the traceback of an error",
        )

    def add_list(self, flag: str, item: Callable[[str], object], **settings: Any) -> None:
        """Declare a flag that takes one or more items, and may be given again to add more.

        Args:
            flag: such as "--threads".
            item: makes an item of a text; raises ArgumentTypeError or a LegoError for a text that is none. `str` means
                [NAME=]PATH.
            settings: of `add_argument`, such as `metavar` and `help`.
        """
        entry = _ListFlag(flag, flag.lstrip("-").replace("-", "_"), item)
        self._lists.append(entry)
        self.add_argument(flag, action="extend", type=entry.split, **settings)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, and give positional arguments that stand behind flags to the argument that takes any number."""
        self.given.clear()
        found, rest = super().parse_known_args(args, namespace)
        self._refuse_spaced_lists(found, rest)
        many = next((a for a in self._actions if not a.option_strings and a.nargs in ("*", "+")), None)
        if many and not any(word.startswith("-") for word in rest):
            try:
                words = [self._get_value(many, word) for word in rest]
            except argparse.ArgumentError as e:
                self.error(str(e))
            setattr(found, many.dest, [*getattr(found, many.dest), *words])
            rest = []
        return found, rest

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """Refuse empty names of places: `Path("")` is the current folder, which no unset variable of a shell means.

        A home is found where shells leave its ~ as it is.
        """
        named = action.type is Path or action.metavar in ("FILE", "FOLDER", "PATH", "[NAME=]PATH")
        place = named or not (action.option_strings or action.nargs == argparse.PARSER)
        if place and not arg_string:
            raise argparse.ArgumentError(action, "it is empty; name a file or a folder")
        return super()._get_value(action, with_home(arg_string) if place else arg_string)

    def _refuse_spaced_lists(self, found: argparse.Namespace, rest: Sequence[str]) -> None:
        """End with a usage error if words that belong to a list stand apart from it."""
        words: list[str] = []
        for action in self._actions:
            value = None if action.option_strings else getattr(found, action.dest, None)
            words += [value] if isinstance(value, str) else value if isinstance(value, list) else []
        # What stands behind a flag that is not known belongs to that, which argparse tells of.
        words += [word for before, word in pairwise(["", *rest]) if not before.startswith("-")]
        for entry in self._lists:
            given = getattr(found, entry.dest) or []
            if apart := [word for word in words if given and entry.accepts(word) and not Path(word).exists()]:
                items = [*(f"{item:g}" if isinstance(item, float) else str(item) for item in given), *apart]
                whole = f"{entry.flag} {','.join(items)}"
                self.error(f"argument {entry.flag}: a list is one word without spaces; write {whole}, or repeat it")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that say how a model's file is opened; they set fields of the recipe of the same names."""
    parser.add_argument(
        "--cut-at",
        action="extend",
        type=lambda text: text.split(","),
        metavar="TENSOR,...",
        help="of a .tflite or .onnx file, SavedModel or PyTorch module: tensors at which the model ends",
    )
    parser.add_argument(
        "--input-shape",
        type=lambda text: [whole_number(size) for size in text.split(",")],
        metavar="H,W,C",
        help="the input's shape, where a model does not fix it; C,H,W of a PyTorch module or .onnx file",
    )
    parser.add_argument(
        "--custom",
        action="extend",
        type=lambda text: text.split(","),
        metavar="MODULE,...",
        help="of a .keras or .h5 file: modules with the layers and functions that it names (runs them)",
    )


def add_fields(parser: argparse.ArgumentParser, own: Sequence[RecipeFlag]) -> None:
    """Declare the flags that say what a command trains and on what, and then the command's own."""
    for name, kind, metavar, text in (*_SOURCE_FIELDS, *own):
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)


def add_pixel_arguments(
    parser: CommandParser,
    default: str = "0,1; models that take or scale pixels get them as they are, cifar10 has ImageNet's mean and std",
) -> None:
    """Declare the flags that say how pixels become a model's input; `default` tells what holds without them."""
    parser.add_list(
        "--input-range",
        fraction,
        metavar="LOW,HIGH",
        help=f"what pixels 0 and 255 become (default: {default}); write --input-range=-1,1 where it is negative",
    )
    parser.add_list("--input-mean", fraction, metavar="M,...", help="what is then subtracted, for all channels or each")
    parser.add_list("--input-std", fraction, metavar="S,...", help="what it is then divided by, likewise")


def precision(text: str) -> str:
    """Read a precision, as an item of a list."""
    from legodnn.manifest import Precision  # with pydantic, which the help of `legodnn` does without

    return _one_of(get_args(Precision), text)


def variation(text: str) -> str:
    """Read how images are varied, as an item of a list."""
    from legodnn.recipe import Variation

    return _one_of(get_args(Variation), text)


def _one_of(names: Sequence[str], text: str) -> str:
    if text not in names:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(names)}")
    return text


def whole_number(text: str) -> int:
    """Read a whole number, as an item of a list."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number; write a list like 1,2") from None


def fraction(text: str) -> float:
    """Read a number, as an item of a list of fractions."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; write a list like .5,.75") from None
