"""What a governor learned of a model in use: a JSON file that is kept until it is merged into the profile.

    save_learned(governor, runtime.workload, runtime.stores)   # in the application (runtime.governing.keep_learned)
    legodnn profile --merge faces.profile.json faces.learned.json --out faces.profile.json

It holds for one store, one device and one profile: its tails are multiples of what that profile predicts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from legodnn.errors import ProfileError
from legodnn.files import write_atomic
from legodnn.profile import Fingerprint, Profile
from legodnn.schema import (
    MOST_PROFILED_THREADS,
    Many,
    Name,
    Schema,
    Text,
    read_document,
    to_json,
    without_defaults,
)
from legodnn.tail import Tail, last_of_each

LEARNED_VERSION = "legodnn.learned/1"
LEARNED_SUFFIX = ".learned.json"


class Learned(Schema):
    """The tails of one model in use, by thread count; all are of the condition "use".

    `profiled` is `Profile.created` of the profile that predicted what they are multiples of. None: that is not known,
    as of a file that an older version or an app wrote.
    """

    schema_: Literal["legodnn.learned/1"] = Field(default="legodnn.learned/1", alias="schema")
    store_id: Name
    model: Name
    device: Fingerprint
    created: Text
    profiled: Text | None = None
    tail: Many[Tail] = Field(min_length=1, max_length=MOST_PROFILED_THREADS)

    @model_serializer(mode="wrap")
    def _briefly(self, serialised: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(serialised(self), profiled=None)

    @classmethod
    def load(cls, path: str | Path) -> Learned:
        """Read what was learned. ProfileError if it is damaged or has another version."""
        return read_document(Path(path), cls, LEARNED_VERSION, ProfileError, "leave it out")

    def save(self, path: str | Path) -> None:
        """Write it atomically. WriteError if it cannot be written."""
        write_atomic(Path(path), to_json(self))


def learned_path(profile: Path) -> Path:
    """The path of what is learned in use of a profile's model.

    >>> learned_path(Path("stores/faces.profile.json")).as_posix()
    'stores/faces.learned.json'
    """
    return profile.with_name(profile.name.removesuffix(".json").removesuffix(".profile") + LEARNED_SUFFIX)


def with_learned(profile: Profile, learned: Learned) -> Profile:
    """Return a profile with the tails that were learned in use, in place of older ones at these thread counts.

    Raises:
        ProfileError: they are of another store, device or profile.
    """
    if learned.store_id != profile.store_id:
        raise ProfileError(
            f"what was learned of {learned.model!r} is of another store than the profile "
            f"(store id {learned.store_id[:12]} instead of {profile.store_id[:12]}); leave it out"
        )
    profile.check_device(learned.device)
    if learned.profiled not in (None, profile.created):
        raise ProfileError(
            f"what was learned of {learned.model!r} is of another profile (of {learned.profiled} instead of "
            f"{profile.created}), and multiplies the medians of that one alone; leave it out"
        )
    return profile.model_copy(update={"tail": last_of_each((*profile.tail, *learned.tail))})
