"""The profile: what one device measured of one store. JSON, written by `legodnn profile` (the profiler package).

Times are in milliseconds, memory in bytes. A profile fits one store and one device, and is refused for others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from legodnn.errors import ProfileError
from legodnn.files import write_atomic
from legodnn.schema import Schema, read_document, to_json
from legodnn.store import Store

VERSION = "legodnn.profile/1"
_REMEDY = "measure again with `legodnn profile`"

Milliseconds = Annotated[float, Field(ge=0)]


class Fingerprint(Schema):
    """What the measurements hold for: another CPU, core count, architecture or executor needs another profile."""

    machine: str
    cpu: str
    cores: int = Field(gt=0)
    executor: str


class Latency(Schema):
    """Latency of one option at one thread count, over `runs` runs spread over the whole profiling."""

    threads: int = Field(gt=0)
    runs: int = Field(gt=0)
    min_ms: Milliseconds
    median_ms: Milliseconds
    p95_ms: Milliseconds


class OptionProfile(Schema):
    """What was measured of one option of one segment.

    `memory_bytes` is what the option adds to the process's proportional set size (PSS) in a running composition, its
    share of what all segments need together included; `load_ms` the time from deciding for it to its being ready.
    """

    segment: str
    option: str
    memory_bytes: int = Field(ge=0)
    load_ms: Milliseconds
    latency: tuple[Latency, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        threads = [entry.threads for entry in self.latency]
        if len(set(threads)) != len(threads):
            raise ValueError(f"{self.segment}/{self.option} has two latencies for one thread count")
        return self


class Profile(Schema):
    """The measurements of every option of a store on one device."""

    schema_: Literal["legodnn.profile/1"] = Field(default="legodnn.profile/1", alias="schema")
    store_id: str
    model: str
    device: Fingerprint
    created: str
    options: tuple[OptionProfile, ...] = Field(min_length=1)

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read a profile; ProfileError if it is damaged or of another version."""
        return read_document(Path(path), cls, VERSION, ProfileError, _REMEDY)

    def save(self, path: str | Path) -> None:
        """Write the profile atomically."""
        write_atomic(Path(path), to_json(self))

    def check_store(self, store: Store) -> None:
        """Raise ProfileError unless this profile was measured on `store` and covers every option of it."""
        if self.store_id != store.id:
            raise ProfileError(
                f"this profile was measured on another store than {store.path} (model {self.model!r}, store id "
                f"{self.store_id[:12]} instead of {store.id[:12]}); run `legodnn profile {store.path}`"
            )
        have = [(o.segment, o.option) for o in self.options]
        want = [(s.name, o.name) for s in store.manifest.segments for o in s.options]
        if sorted(have) != sorted(want):
            odd = next(key for key in (*want, *have) if have.count(key) != want.count(key))
            what = "/".join(odd)
            raise ProfileError(f"the profile of {store.path} does not have exactly one entry for {what}; {_REMEDY}")

    def check_device(self, device: Fingerprint) -> None:
        """Raise ProfileError unless this profile was measured on such a device."""
        for field in Fingerprint.model_fields:
            mine, other = getattr(self.device, field), getattr(device, field)
            if mine != other:
                raise ProfileError(
                    f"this profile of {self.model!r} was measured on another device "
                    f"({field}: {mine!r}, here {other!r}); run `legodnn profile` here"
                )


def default_path(store: str | Path) -> Path:
    """Where a store's profile lies unless said otherwise: beside the store's folder, as NAME.profile.json."""
    path = Path(store)
    return path.with_name(path.name + ".profile.json")
