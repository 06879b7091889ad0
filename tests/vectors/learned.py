"""What was learned in use, put into profiles: documents to take and to refuse, and the tails that come of them."""

from __future__ import annotations

from collections.abc import Mapping

from legodnn.errors import ProfileError
from legodnn.learned import LEARNED_VERSION, Learned, with_learned
from legodnn.profile import PROFILE_VERSION, Profile
from legodnn.schema import parse_document
from legodnn.tail import Tail
from tests.vectors.edits import dumped, mutations
from tests.vectors.profiles import profile_of
from tests.vectors.stores import CHAIN
from tests.vectors.vectors import Json, edited


def learned_answer(case: Mapping[str, Json], bases: Mapping[str, Json]) -> Json:
    """The tails of a profile after a document of what was learned was put into it."""
    profile = parse_document(
        dumped({**bases["profile"], "tail": case["tail"]}), "it", Profile, PROFILE_VERSION, ProfileError, "again"
    )
    try:
        text = edited(bases[case["base"]], case.get("edits", [])).decode()
        learned = parse_document(text, "it", Learned, LEARNED_VERSION, ProfileError, "leave it out")
        return {"tail": [tail_answer(tail) for tail in with_learned(profile, learned).tail]}
    except (ProfileError, UnicodeDecodeError):
        return {"error": "ProfileError"}


def tail_answer(tail: Tail) -> Json:
    """A tail as vectors have it."""
    return [tail.threads, tail.condition, tail.other, tail.inferences, list(tail.quantiles), list(tail.stretch)]


def learned_documents() -> Json:
    """Of another store or device, of other thread counts, damaged; into profiles with tails of their own."""
    profile = {**profile_of(CHAIN), "store_id": "0" * 64}
    one = {"threads": 1, "condition": "use", "inferences": 40, "quantiles": [0.5, 0.95], "stretch": [1.1, 1.5]}
    head = {key: profile[key] for key in ("store_id", "model", "device", "created")}
    two = [one, {**one, "threads": 2, "stretch": [1, 1.25]}]
    document = {"schema": LEARNED_VERSION, **head, "profiled": profile["created"], "tail": two}
    alone = {**one, "condition": "alone", "inferences": 20}
    bases: Json = {
        "profile": profile,
        "learned": dumped(document),
        "of another store": dumped({**document, "store_id": "1" * 64}),
        "of another device": dumped({**document, "device": {**head["device"], "cores": 4}}),
        "of another profile": dumped({**document, "profiled": "2026-01-01T00:00:00Z"}),
        "of an unknown profile": dumped({**document, "profiled": None}),
        "of before profiles were named": dumped({"schema": LEARNED_VERSION, **head, "tail": two}),
        "twice": dumped({**document, "tail": [one, {**one, "inferences": 41}]}),
        "nothing": dumped({**document, "tail": []}),
        "another version": dumped({**document, "schema": "legodnn.learned/2"}),
    }
    own = {
        "no tail": [],
        "measured": [alone, {**alone, "condition": "after"}],
        "learned before": [{**one, "threads": 4}],
    }
    own["the same before"] = [alone, {**one, "inferences": 7}, {**alone, "threads": 2}]
    cases = [
        {"name": f"{base} into {name}", "base": base, "tail": tail}
        for base in bases
        if base != "profile"
        for name, tail in own.items()
    ]
    for name, edits in mutations(document, "learned", 60):
        cases.append({"name": name, "base": "learned", "tail": [], "edits": edits})
    return {"bases": bases, "cases": [{**case, "answer": learned_answer(case, bases)} for case in cases]}
