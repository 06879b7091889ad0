"""The profile: what one device measured of one store. It is a JSON file that `legodnn profile` writes.

Times are in milliseconds, memory is in bytes. A profile holds for one store and one device, and is refused for others.
Measuring is the task of `legodnn.profiler`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from typing_extensions import Self

from legodnn.errors import ProfileError
from legodnn.files import is_file, write_atomic
from legodnn.schema import (
    MOST_CONTAINERS,
    MOST_INT,
    MOST_METRIC,
    MOST_MODELS,
    MOST_NOTES,
    MOST_PROFILED_THREADS,
    MOST_SLOWDOWN,
    Bytes,
    Many,
    Milliseconds,
    Name,
    Schema,
    Text,
    Threads,
    read_document,
    readable_json,
    without_defaults,
)
from legodnn.store import Store
from legodnn.streamed import StreamedModel
from legodnn.tail import Tail

PROFILE_VERSION = "legodnn.profile/1"
_REMEDY = "measure again with `legodnn profile`"
_SMALLER = "measure with fewer --threads, or leave out dominated options (--quick), or build fewer options"

NotNegative = Annotated[float, Field(ge=0, le=MOST_METRIC)]

# The names of a segment and of one of its options.
OptionKey = tuple[str, str]


class Fingerprint(Schema):
    """What the measurements hold for. Another architecture, CPU, number of cores or executor needs another profile.

    `cpu` is the name that `legodnn.runtime.device.processor.cpu_name` gives: on ARM it includes the board and the kinds
    of cores.
    """

    machine: Text
    cpu: Text
    cores: int = Field(gt=0, le=MOST_INT)
    executor: Text


class Latency(Schema):
    """The latency of one option at one thread count, over `runs` runs that are spread over the whole profiling.

    `first_ms` is the median of runs right after another option ran in its place, with cold caches. The other figures
    are of the runs that follow these.
    """

    threads: Threads
    runs: int = Field(gt=0, le=MOST_INT)
    first_ms: Milliseconds | None = None
    min_ms: Milliseconds
    median_ms: Milliseconds
    p95_ms: Milliseconds


class OptionProfile(Schema):
    """What was measured of one option of one segment.

    `memory_bytes` is what the option adds to the process's proportional set size (PSS) in a running composition,
    including its share of what all segments need together. `load_ms` is the time to load the option until it is ready
    to run. `energy_mj` is the energy of one run in millijoules, if energy was measured.

    `workspace_bytes` is what its tensors take while it runs. Segments share that, so a composition takes the most that
    one of its options does, and the `own_bytes` of all of them. That says more exactly what it takes than the sum of
    `memory_bytes`, where it is known.
    """

    segment: Name
    option: Name
    memory_bytes: Bytes
    own_bytes: Bytes | None = None
    workspace_bytes: Bytes | None = None
    load_ms: Milliseconds
    energy_mj: NotNegative | None = None
    latency: Many[Latency] = Field(min_length=1, max_length=MOST_PROFILED_THREADS)

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        threads = [entry.threads for entry in self.latency]
        if len(set(threads)) != len(threads):
            raise ValueError(f"{self.segment}/{self.option} has two latencies for one thread count")
        if (self.own_bytes is None) != (self.workspace_bytes is None):
            raise ValueError(f"{self.segment}/{self.option} has only one of own_bytes and workspace_bytes")
        return self

    @model_serializer(mode="wrap")
    def _briefly(self, serialised: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(serialised(self), own_bytes=None, workspace_bytes=None)

    @property
    def own_and_workspace(self) -> tuple[int, int]:
        """The bytes that it adds to those of other options, and those that it shares with them."""
        if self.own_bytes is None or self.workspace_bytes is None:
            return self.memory_bytes, 0
        return self.own_bytes, self.workspace_bytes


class Skipped(Schema):
    """An option that no plan chooses, because it was not measured, or not with all thread counts; and the reason."""

    segment: Name
    option: Name
    reason: Text


class ChainOverhead(Schema):
    """The time that a run of a whole composition takes beyond the sum of its segments' medians, at one thread count."""

    threads: Threads
    overhead_ms: Milliseconds


class Validation(Schema):
    """The relative errors of predicted against measured latency, over `plans` random compositions."""

    threads: Threads
    plans: int = Field(gt=0, le=MOST_INT)
    median_error: NotNegative
    p95_error: NotNegative


class Contention(Schema):
    """How many times longer an inference takes while another model runs without pause, each on one thread."""

    store_id: Name
    model: Name
    slowdown: float = Field(ge=1, le=MOST_SLOWDOWN)


class Energy(Schema):
    """How energy was measured, and what a switch takes.

    `meter` names the meter. An `estimate` is CPU seconds times the watts that the user gave. `idle_w` is the power of
    the idle device, which no figure includes. `switch_mj` is the energy of a switch to a composition of other options,
    including what its first run takes more than later ones.
    """

    meter: Text
    estimate: bool
    idle_w: NotNegative
    switch_mj: NotNegative


class Conditions(Schema):
    """The conditions under which a profile was measured. It holds under other conditions too, but less exactly.

    Attributes:
        kernel: the version of the operating system's kernel.
        cpu_features: the processor's instruction set extensions that matter for neural networks.
        governor: the policy by which the system sets the clock; None where it does not tell.
        mhz: the clock of the fastest core before and after timing; None where the system does not tell.
        throttled: why the processor was held back before and after timing; "" if it was not.
        warnings: what may have disturbed the measurements.
    """

    kernel: Text
    cpu_features: Many[Text] = Field(default=(), max_length=MOST_NOTES)
    governor: Text | None = None
    mhz: tuple[NotNegative | None, NotNegative | None] = (None, None)
    throttled: tuple[Text, Text] = ("", "")
    warnings: Many[Text] = Field(default=(), max_length=MOST_NOTES)


class CompactModel(Schema):
    """What a model takes that is compact: the addresses that its convolutions read are made anew in each inference.

    Its options are those of the profile, and the figures what they are there.
    """

    options: Many[OptionProfile] = Field(min_length=1, max_length=MOST_CONTAINERS)
    chain: Many[ChainOverhead] = Field(default=(), max_length=MOST_PROFILED_THREADS)
    company_bytes: Bytes = 0

    @property
    def overhead_ms(self) -> dict[int, float]:
        """By thread count, the milliseconds that a composition takes beyond its segments."""
        return _overheads(self.chain)


class Profile(Schema):
    """The measurements of a store's options on one device. docs/profiler.md describes the fields."""

    schema_: Literal["legodnn.profile/1"] = Field(default="legodnn.profile/1", alias="schema")
    store_id: Name
    model: Name
    device: Fingerprint
    created: Text
    options: Many[OptionProfile] = Field(min_length=1, max_length=MOST_CONTAINERS)
    skipped: Many[Skipped] = Field(default=(), max_length=MOST_CONTAINERS)
    chain: Many[ChainOverhead] = Field(default=(), max_length=MOST_PROFILED_THREADS)
    pack_ms: Milliseconds | None = None
    company_bytes: Bytes = 0
    validation: Many[Validation] = Field(default=(), max_length=MOST_PROFILED_THREADS)
    contention: Many[Contention] = Field(default=(), max_length=MOST_MODELS)
    tail: Many[Tail] = Field(default=(), max_length=MOST_CONTAINERS)
    energy: Energy | None = None
    conditions: Conditions | None = None
    streamed: StreamedModel | None = None
    compact: CompactModel | None = None

    @model_serializer(mode="wrap")
    def _briefly(self, serialised: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(serialised(self), streamed=None, compact=None, company_bytes=0)

    @model_validator(mode="after")
    def _one_overhead_each(self) -> Self:
        if any(len(_overheads(c)) < len(c) for c in (self.chain, self.compact.chain if self.compact else ())):
            raise ValueError("two overheads for one thread count")
        return self

    @model_validator(mode="after")
    def _one_tail_each(self) -> Self:
        if len({entry.key for entry in self.tail}) < len(self.tail):
            raise ValueError("two tails of one condition at one thread count")
        return self

    @model_validator(mode="after")
    def _same_options_compact(self) -> Self:
        if self.compact and measured(self.compact.options) != measured(self.options):
            raise ValueError("it was not measured of the same options what they take in a compact model")
        return self

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read a profile. ProfileError if it is damaged or has another version."""
        store = quote(str(path).removesuffix(".profile.json")) if str(path).endswith(".profile.json") else "STORE"
        remedy = _REMEDY if is_file(Path(path)) else f"measure the store on this device: `legodnn profile {store}`"
        return read_document(Path(path), cls, PROFILE_VERSION, ProfileError, remedy)

    def save(self, path: str | Path) -> None:
        """Write the profile atomically. ProfileError if it is larger than `load` reads."""
        write_atomic(Path(path), readable_json(self, str(path), ProfileError, _SMALLER))

    def check_store(self, store: Store) -> None:
        """Raise ProfileError unless the profile is of `store` and has every option of it, measured or `skipped`."""
        if self.store_id != store.id:
            raise ProfileError(
                f"this profile was measured on another store than {store.path} (model {self.model!r}, store id "
                f"{self.store_id[:12]} instead of {store.id[:12]}); run `legodnn profile {quote(str(store.path))}`"
            )
        skipped = [(o.segment, o.option) for o in self.skipped]
        have = Counter([*((o.segment, o.option) for o in self.options), *skipped])
        want = Counter((s.name, o.name) for s in store.manifest.segments for o in s.options)
        if have != want:
            what = "/".join(next(key for key in (*want, *have) if have[key] != want[key]))
            raise ProfileError(f"the profile of {store.path} does not have exactly one entry for {what}; {_REMEDY}")
        never = set(skipped)
        for segment in store.manifest.segments:
            if (segment.name, segment.original.name) in never:
                raise ProfileError(f"the profile of {store.path} skips the original of {segment.name}; {_REMEDY}")

    def check_device(self, device: Fingerprint) -> None:
        """Raise ProfileError unless the profile was measured on a device with this fingerprint."""
        for field in Fingerprint.model_fields:
            mine, other = getattr(self.device, field), getattr(device, field)
            if mine != other:
                raise ProfileError(
                    f"this profile of {self.model!r} was measured on another device "
                    f"({field}: {mine!r}, here {other!r}); run `legodnn profile` here"
                )

    @property
    def overhead_ms(self) -> dict[int, float]:
        """By thread count, the milliseconds that a composition takes beyond its segments."""
        return _overheads(self.chain)


def default_path(store: str | Path) -> Path:
    """The path of a store's profile unless another is given: NAME.profile.json beside the store's folder NAME.

    >>> default_path("stores/faces").as_posix()
    'stores/faces.profile.json'

    Raises:
        ProfileError: the folder has no name, as `/`, or a path such as `..` leads to none.
    """
    path = Path(store)
    if path.name in ("", ".."):  # only the absolute path of `.` and `..` has a name
        try:
            path = path.resolve()
        except (OSError, ValueError, RuntimeError) as e:  # no current folder; NUL in a path; a loop of links
            reason = getattr(e, "strerror", None) or e
            raise ProfileError(f"{path} leads to no folder: {reason}; give the folder of a store") from None
    if not path.name:
        raise ProfileError(f"{path} has no name, which the profile would have too; give the folder of a store")
    return path.with_name(path.name + ".profile.json")


def measured(options: Sequence[OptionProfile]) -> dict[OptionKey, set[int]]:
    """The options that were measured, with their thread counts."""
    return {(o.segment, o.option): {entry.threads for entry in o.latency} for o in options}


def _overheads(chain: Iterable[ChainOverhead]) -> dict[int, float]:
    return {entry.threads: entry.overhead_ms for entry in chain}
