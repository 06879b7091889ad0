"""What all JSON documents of this project share: strict, frozen pydantic models, bounds, and one way to read them.

Every number, text and list of a document has a bound. Within the bounds, plans are exact and nothing overflows. A value
beyond them comes from no device, and is refused with the bound in the message. Java's reader has the same bounds
(org.legodnn.json.Bounds).

This module knows nothing of stores, profiles or plans: those are in the modules of these names.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from legodnn.errors import LegoError
from legodnn.files import read_regular
from legodnn.printable import shown

# What a document may hold. A store of 50 blocks with 30 options each, with their interactions, takes 2 MB.
MOST_BYTES_OF_DOCUMENT = 4 << 20
# Lists and objects, named fields, and values of any kind are counted before a document is parsed: what is made of them,
# or said about wrong ones, takes many times the memory of their text.
MOST_CONTAINERS = 100_000
MOST_FIELDS = 100_000
MOST_VALUES = 500_000
# There is no bound on how deep lists and objects are nested: at 200 levels pydantic's parser of JSON stops by itself.

MOST_NAME = 200  # characters; names appear in tables and in names of files
MOST_TEXT = 10_000  # characters of reasons, warnings and the like
MOST_NOTES = 1000  # entries of a list of warnings, or of a processor's features
MOST_PATH = 4096  # characters; Linux opens no longer paths
MOST_OPTIONS = 1024  # of a segment; the solvers number them in 16 bits
MOST_SEGMENTS = 4096
MOST_TENSORS = 16_384
MOST_MODELS = 1024  # of a workload
MOST_LABELS = 100_000  # the greatest public data sets of images have some 20,000
MOST_KNOTS = 10_000  # of a link
MOST_PROFILED_THREADS = 1024
MOST_RANK = 8  # of tensors in LiteRT
MOST_INT = (1 << 31) - 1  # the largest size in TensorFlow Lite and Java
MOST_ELEMENTS = 1 << 29  # of a tensor; its 2 GiB are what one Java array holds
# Far more than any device has, and yet so little that sums over all segments are exact in 64-bit integers, which count
# bytes and nanoseconds (10^7 ms are almost three hours).
MOST_BYTES = 1 << 48
MOST_MS = 1e7
# Limits and predictions are sums of such figures, multiplied by numbers of threads, rates and slow-downs.
MOST_SUM = 1e21
MOST_MEMORY = (1 << 62) - 1
MOST_COUNT = 10**18  # parameters, multiply-accumulates
# The link turns sums of losses into the metric. A loss of about 1 halves it; most metrics are shares, between 0 and 1.
MOST_LOSS = 1e6
MOST_METRIC = 1e9
LEAST_KNOT = 1e-15  # distance between two knots of a link; keeps its slope finite
# A model may be worth a million times as much as one of weight 1: their float64 sum loses less than a billionth of 1.
LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
MOST_RATE = 1e6
MOST_SLOWDOWN = 1e6
MOST_CHARGE = 1e9
# A limit is about the median at least; the share of inferences that keep it is less than all of them.
LEAST_QUANTILE = 0.5
MOST_QUANTILES = 100  # of a tail

T = TypeVar("T")
# A tuple of any length. The first error in it ends the validation: a million errors would take gigabytes.
Many = Annotated[tuple[T, ...], FailFast()]
Name = Annotated[str, Field(min_length=1, max_length=MOST_NAME)]
Text = Annotated[str, Field(max_length=MOST_TEXT)]
Loss = Annotated[float, Field(ge=-MOST_LOSS, le=MOST_LOSS)]
MetricValue = Annotated[float, Field(ge=-MOST_METRIC, le=MOST_METRIC)]
Bytes = Annotated[int, Field(ge=0, le=MOST_BYTES)]
Count = Annotated[int, Field(ge=0, le=MOST_COUNT)]
Milliseconds = Annotated[float, Field(ge=0, le=MOST_MS)]
Threads = Annotated[int, Field(gt=0, le=MOST_PROFILED_THREADS)]
Sum = Annotated[float, Field(ge=0, le=MOST_SUM)]
Memory = Annotated[int, Field(ge=0, le=MOST_MEMORY)]
Quantile = Annotated[float, Field(ge=LEAST_QUANTILE, lt=1)]
Stretch = Annotated[float, Field(gt=0, le=MOST_SLOWDOWN)]


class Schema(BaseModel):
    """The base of every document. It refuses unknown fields, wrong types, NaN and infinity; instances are frozen."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


def without_defaults(document: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Return a document without the fields that have these values: readers that do not know them can read it."""
    return {key: value for key, value in document.items() if key not in defaults or value != defaults[key]}


SchemaT = TypeVar("SchemaT", bound=Schema)

_SHOWN = 3  # problems that a message names; the others are counted
_LONG = 50  # characters of a name that is no slip
_TOO_MANY = 1000  # problems from which on a message only counts them


def explain(error: ValidationError, fields: Iterable[str] = ()) -> str:
    """Return the first problems of a validation error in one line: where, what, and what was there instead.

    Unknown fields come first, since a misspelt name is why another field is missing; those of `fields` that are near
    to one are named.
    """
    count = error.error_count()
    if count > _TOO_MANY:
        return f"{count:,} fields are wrong or unknown"
    problems = error.errors(include_url=False, include_context=False)
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    more = f" (and {count - _SHOWN} more)" if count > _SHOWN else ""
    return ", and ".join(_problem(problem, fields) for problem in problems[:_SHOWN]) + more


# What is said of some types of problems, in place of pydantic's words.
_SAID = {
    "extra_forbidden": "unknown field",
    "string_unicode": "holds bytes that are no UTF-8 (rename it, or run this in a UTF-8 locale, such as C.UTF-8)",
}
_PYDANTICS = "Input should be ", "must be "  # nobody who gives a flag or writes a file knows of an input


def _problem(problem: Any, fields: Iterable[str]) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "document"
    if not problem["loc"] and problem["type"] == "value_error":  # of fields that do not go together: it names them
        return f"{problem['msg'].removeprefix('Value error, '):.600}"
    what = _SAID.get(problem["type"]) or problem["msg"].removeprefix("Value error, ").replace(*_PYDANTICS, 1)
    unknown = problem["type"] == "extra_forbidden" and len(where) < _LONG
    near = difflib.get_close_matches(where, list(fields)) if unknown else []
    hint = f" (near to it: {', '.join(near)})" if near else ""
    return f"{where:.200}: {what:.400}{_got(problem['input'])}{hint}"


def _got(value: object) -> str:
    return "" if isinstance(value, dict | list | tuple | BaseModel) else f", got {shown(value)}"


def read_document(path: Path, schema: type[SchemaT], version: str, error: type[LegoError], remedy: str) -> SchemaT:
    """Read a JSON document.

    Args:
        path: the file.
        schema: the model that the document must fit; its `schema` field must equal `version`.
        version: the version that this package reads, such as "legodnn.store/1".
        error: the type of error to raise.
        remedy: the end of every message, which says what the user can do.

    Raises:
        error: the file is unreadable, no regular file, too large, no JSON, of another version, or does not fit.
    """
    content = read_regular(path, MOST_BYTES_OF_DOCUMENT, error, remedy)
    return parse_document(utf8_text(content, path, error, remedy), str(path), schema, version, error, remedy)


def utf8_text(content: bytes, path: Path, error: type[LegoError], remedy: str) -> str:
    """Return the text of a document.

    Raises:
        error: the content is not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise error(f"{path} is not UTF-8 text; {remedy}") from None


def parse_document(
    text: str, name: str, schema: type[SchemaT], version: str, error: type[LegoError], remedy: str
) -> SchemaT:
    """Parse a document that has been read, as `read_document` does; `name` stands for the path in messages."""
    check_version(_parsed(text, name, error, remedy), name, version, error, remedy)
    try:
        return schema.model_validate_json(text)
    except ValidationError as e:
        raise error(f"{name}: {explain(e)}; {remedy}") from None
    except LegoError as e:  # from a part that applications construct themselves too, such as a budget
        raise error(f"{name}: {e}; {remedy}") from None


def read_json(path: Path, error: type[LegoError], remedy: str, by_hand: bool = False) -> Any:
    """Return what a JSON file holds: dicts, lists, texts and numbers, not checked any further.

    Args:
        path: the file.
        error: the type of error to raise.
        remedy: the end of every message, which says what the user can do.
        by_hand: whether people write such files, so that a key that is there twice is refused (see `keys_once`). Of
            those that programs write the last one counts, as in Java.

    Raises:
        error: the file is unreadable, no regular file, too large, or no JSON.
    """
    content = read_regular(path, MOST_BYTES_OF_DOCUMENT, error, remedy)
    return _parsed(utf8_text(content, path, error, remedy), str(path), error, remedy, by_hand)


class RepeatedKeyError(ValueError):
    """An object has a key twice."""


def keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of these keys and values: an `object_pairs_hook` of `json.loads` for what people write.

    Raises:
        RepeatedKeyError: a key is there twice, and one of its values would count for nothing.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RepeatedKeyError(f"{shown(key)} is there twice; leave one of them out")
        found[key] = value
    return found


def _parsed(text: str, name: str, error: type[LegoError], remedy: str, by_hand: bool = False) -> Any:
    check_extent(text, name, error, remedy)
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=keys_once if by_hand else None)
    except RepeatedKeyError as e:
        raise error(f"{name}: {e}") from None
    except (ValueError, RecursionError) as e:
        raise error(f"{name} is not JSON ({e}); {remedy}") from None


def check_version(document: object, name: str, version: str, error: type[LegoError], remedy: str) -> None:
    """Check that a document's `schema` is the version that this package reads.

    Raises:
        error: it is another, or there is none.
    """
    found = document.get("schema") if isinstance(document, dict) else None
    if found != version:
        raise error(f"{name} has schema {shown(found)}, this version of legodnn reads {version!r}; {remedy}")


def check_extent(text: str, name: str, error: type[LegoError], remedy: str) -> None:
    """Refuse a JSON text that would take too much memory to parse.

    It counts brackets, colons and commas, those inside strings too.

    Raises:
        error: the text holds more lists and objects, named fields or values than are read.
    """
    containers = text.count("[") + text.count("{")
    if containers > MOST_CONTAINERS:
        raise error(f"{name} holds {containers:,} lists and objects, at most {MOST_CONTAINERS:,} are read; {remedy}")
    if (fields := text.count(":")) > MOST_FIELDS:
        raise error(f"{name} holds {fields:,} named fields, at most {MOST_FIELDS:,} are read; {remedy}")
    if (values := containers + text.count(",")) > MOST_VALUES:
        raise error(f"{name} holds {values:,} values, at most {MOST_VALUES:,} are read; {remedy}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def to_json(document: BaseModel) -> str:
    """Return the text of a document as it is written: indented, with fields in order, ending in a newline."""
    data: Any = document.model_dump(mode="json", by_alias=True)
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def readable_json(document: BaseModel, name: str, error: type[LegoError], remedy: str) -> str:
    """Return the text of a document as `to_json` does, unless `read_document` would refuse it for its extent.

    Raises:
        error: it has more bytes, lists and objects, named fields or values than are read.
    """
    text = to_json(document)
    if (size := len(text.encode())) > MOST_BYTES_OF_DOCUMENT:
        raise error(f"{name} would have {size:,} bytes, at most {MOST_BYTES_OF_DOCUMENT:,} are read; {remedy}")
    check_extent(text, name, error, remedy)
    return text
