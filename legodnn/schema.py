"""What all the JSON documents of this project share: strict, frozen pydantic models and one way to read them.

Knows nothing of stores, profiles or plans: those are in the modules of these names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from legodnn.errors import LegoError


class Schema(BaseModel):
    """Base of every document: unknown fields, wrong types, NaN and infinity are refused; instances are frozen."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


SchemaT = TypeVar("SchemaT", bound=Schema)


def explain(error: ValidationError) -> str:
    """The first problem of a validation error in one line: where, what, and what was there instead."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    got = "" if isinstance(first["input"], dict | list | tuple) else f", got {first['input']!r:.60}"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}{got}{more}"


def read_document(path: Path, schema: type[SchemaT], version: str, error: type[LegoError], remedy: str) -> SchemaT:
    """Read a JSON document.

    Args:
        path: the file.
        schema: the model it must fit; its `schema` field must equal `version`.
        version: the version this package reads, such as "legodnn.store/1".
        error: the type to raise.
        remedy: the end of every message: what the user can do.

    Raises:
        error: unreadable, not JSON, another version, or not of the schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise error(f"cannot read {path}: {e.strerror or e}; {remedy}") from None
    except UnicodeDecodeError:
        raise error(f"{path} is not UTF-8 text; {remedy}") from None
    return parse_document(text, str(path), schema, version, error, remedy)


def parse_document(
    text: str, name: str, schema: type[SchemaT], version: str, error: type[LegoError], remedy: str
) -> SchemaT:
    """Like `read_document`, from text that has been read; `name` stands for the path in messages."""
    try:
        document = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as e:
        raise error(f"{name} is not JSON ({e}); {remedy}") from None
    found = document.get("schema") if isinstance(document, dict) else None
    if found != version:
        raise error(f"{name} has schema {found!r:.60}, this version of legodnn reads {version!r}; {remedy}")
    try:
        return schema.model_validate_json(text)
    except ValidationError as e:
        raise error(f"{name}: {explain(e)}; {remedy}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def to_json(document: BaseModel) -> str:
    """The text that is written for a document: indented, fields in order, ending in a newline."""
    data: Any = document.model_dump(mode="json", by_alias=True)
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
