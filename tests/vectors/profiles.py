"""The profiles to read, sound and damaged; and plans for stores with their profiles."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.vectors import vectors
from tests.vectors.edits import changed, difference, dumped, mutations
from tests.vectors.stores import CHAIN, GRAPH
from tests.vectors.vectors import Json


def profile_of(document: Json, threads: tuple[int, ...] = (1, 2)) -> Json:
    """A profile of every option of a store."""
    rng = random.Random("profile")
    entries = []
    for segment in document["segments"]:
        for o in segment["options"]:
            share = (1 - o["sparsity"]) * (0.5 if o["precision"] == "int8" else 1.0)
            latency = [
                {
                    "threads": n,
                    "runs": 50,
                    "min_ms": round(share / n, 6),
                    "median_ms": round(1.25 * share / n, 6),
                    "p95_ms": 2 * share,
                }
                for n in threads
            ]
            memory, load = int(1_000_000 * share) + rng.randrange(1000), round(rng.uniform(0.1, 2), 3)
            entries.append(
                {
                    "segment": segment["name"],
                    "option": o["name"],
                    "memory_bytes": memory,
                    "load_ms": load,
                    "latency": latency,
                }
            )
    return {
        "schema": "legodnn.profile/1",
        "store_id": None,
        "model": "tiny",
        "device": {"machine": "aarch64", "cpu": "Cortex-A76", "cores": 8, "executor": "tensorflow-lite 2.16.1"},
        "created": "2026-01-02T00:00:00+00:00",
        "options": entries,
    }


_TAIL_FIELDS: dict[str, tuple[Any, ...]] = {
    "condition": ("often", None, 5),
    "inferences": (0, 1, 1.0),
    "threads": (0, 2, 1025),
    "quantiles": ([], [0.5], [0.95, 0.5], [0.4, 0.9], [0.5, 1.0], [0.5, "x"]),
    "stretch": ([], [1.0], [1.0, 1.0], [1.5, 1.0], [0.0, 1.0], [1.0, 1.1e6], [1, 2]),
}


def asked() -> Json:
    """A profile, and others that differ from it."""
    document = {**profile_of(CHAIN), "store_id": "0" * 64}
    text = dumped(document)
    bases: Json = {"profile": text}

    def put(*path: Any, value: Json) -> str:
        return dumped(changed(document, path, lambda c, k: c.__setitem__(k, value)))

    texts = {"as it is": text, "empty": "", "text after it": text + "1", "half of it": text[: len(text) // 2]}
    for key in document:
        texts[f"without {key}"] = dumped({k: v for k, v in document.items() if k != key})
    option = ("options", 0)
    for key in document["options"][0]:
        texts[f"option without {key}"] = dumped(changed(document, (*option, key), lambda c, k: c.__delitem__(k)))
    for key, values in {
        "memory_bytes": (0, -1, 1.0, 10**30, "1", None, 1 << 48, (1 << 48) + 1),
        "load_ms": (0, -0.001, 1e308, None, "1", 1e7, 1.1e7),
        "segment": ("", 5, "x" * 300),
        "latency": ([], None, [1]),
        "own_bytes": (0,),
        "workspace_bytes": (0,),
        "more": (1,),
    }.items():
        for value in values:
            texts[f"{key} {json.dumps(value):.25}"] = put(*option, key, value=value)
    for own in (0, 5, -1, 1.0, "1", None, (1 << 48) + 1):
        whole = {**document["options"][0], "own_bytes": own, "workspace_bytes": 7}
        texts[f"own_bytes {json.dumps(own)} beside a workspace"] = put(*option, value=whole)
    entry = ("options", 0, "latency", 0)
    for key, values in {
        "threads": (0, 1, 2, 3, -1, 1.0, 10**12, 1024, 1025),
        "runs": (0, 1, 1.5, 2**31 - 1, 2**31),
        "min_ms": (-1, 0, 1e400),
        "median_ms": (-1, 0, None, True, 1e7, 1.1e7),
        "p95_ms": (-0.5, 3),
        "more": (1,),
    }.items():
        for value in values:
            texts[f"latency's {key} {value}"] = put(*entry, key, value=value).replace("Infinity", "1e400")
    for key, value in (
        ("cores", 0),
        ("cores", 1.0),
        ("cores", 10**20),
        ("cpu", ""),
        ("cpu", None),
        ("machine", 5),
        ("more", 1),
    ):
        texts[f"device's {key} {value}"] = put("device", key, value=value)
    for value in (0, 5, -1, 1.0, "1", None, True, 1 << 48, (1 << 48) + 1):
        texts[f"company_bytes {json.dumps(value)}"] = dumped({**document, "company_bytes": value})
    texts["no options"] = put("options", value=[])
    texts["an option twice"] = put("options", value=[*document["options"], document["options"][0]])
    tail = {"threads": 1, "condition": "alone", "other": None, "inferences": 9}
    good = {**tail, "quantiles": [0.5, 0.95], "stretch": [1.0, 1.5]}
    for what, tails in {
        "none": [],
        "one": [good],
        "of each kind": [{**good, "condition": c} for c in ("alone", "after", "periodic", "beside", "use")],
        "twice": [good, good],
        "of another": [good, {**good, "other": "x"}],
        "of none": [{**good, "other": ""}],
        "no list": good,
        "more": [{**good, "more": 1}],
        "without inferences": [{k: v for k, v in good.items() if k != "inferences"}],
        **{f"with {key} {value}": [{**good, key: value}] for key, values in _TAIL_FIELDS.items() for value in values},
    }.items():
        texts[f"tail {what}"] = dumped({**document, "tail": tails})
    for version in ("legodnn.profile/2", "legodnn.store/1", None):
        texts[f"schema {version}"] = put("schema", value=version)
    texts["memory twice"] = text.replace('"memory_bytes": ', '"memory_bytes": "x", "memory_bytes": ', 1)
    cases: list[Json] = [
        {"name": name, "base": "profile", "edits": difference(text, after)} for name, after in texts.items()
    ]
    cases += [{"name": name, "base": "profile", "edits": edits} for name, edits in mutations(document, "profile", 120)]
    device: Json = document["device"]
    for key, value in (("machine", "x86_64"), ("cpu", "Cortex-A55"), ("cores", 4), ("executor", "other"), ("cores", 8)):
        cases.append({"name": f"on {key} {value}", "base": "profile", "device": {**device, key: value}})
    return {"bases": bases, "cases": [{**c, "answer": vectors.profile_answer(c, bases)} for c in cases]}


def _tail(condition: str, threads: int, *stretch: float) -> Json:
    quantiles = [0.5, 0.95, 0.99][: len(stretch)]
    return {"threads": threads, "condition": condition, "inferences": 99, "quantiles": quantiles, "stretch": stretch}


_TAILS = {
    "alone": [_tail("alone", n, 1.0, 1.25) for n in (1, 2)],
    "after": [_tail(c, n, *s) for n in (1, 2) for c, s in (("alone", (1, 1.1, 1.2)), ("after", (0.9, n, 2.5)))],
    "in use": [_tail("use", 1, 1.5, 1.75, 1.8), _tail("alone", 1, 3.0), _tail("use", 2, 1.0, 1.5)],
    "one thread": [_tail("alone", 1, 1.0, 1.25)],
}


def measured() -> Json:
    """Stores with their profiles, and plans for them."""
    bases, cases = {}, []
    for name, document in (("chain", CHAIN), ("graph", GRAPH)):
        bases[name] = {
            "manifest": dumped(document),
            "files": [o["file"] for s in document["segments"] for o in s["options"]],
        }
        profile = profile_of(document)
        for i, budget in enumerate(
            (
                {},
                {"memory_bytes": 3_000_000},
                {"memory_bytes": 2_500_000},
                {"memory_bytes": 100},
                {"latency_ms": 2.5},
                {"latency_ms": 1.1},
                {"latency_ms": 0.1},
                {"memory_bytes": 2_600_000, "latency_ms": 1.5},
            )
        ):
            cases.append({"name": f"{name} {i}", "base": name, "profile": profile, "budget": budget})
            for kind, tails in _TAILS.items():
                known: Json = {**profile, "tail": tails}
                limits: Json = budget
                for quantile in (0.5, 0.93, 0.99):
                    case: Json = {"name": f"{name} {i}, {kind}, {quantile}", "base": name, "profile": known}
                    cases.append({**case, "budget": {**limits, "quantile": quantile}})
        for asked in (
            {"threads": 2},
            {"threads": 3},
            {"rate_hz": 30.0, "weight": 2.0},
            {"min_accuracy": 0.95},
            {"min_accuracy": 0.99},
            {"latency_ms": 0.9, "name": "other"},
            {"critical": False, "latency_ms": 0.01},
            {"weight": 0.0},
        ):
            budget = {"cores": 0.05} if "rate_hz" in asked else {"memory_bytes": 2_600_000}
            cases.append(
                {"name": f"{name} {asked}", "base": name, "profile": profile, "budget": budget, "asked": asked}
            )
        entries = profile["options"]
        for what, options in {
            "an option missing": entries[1:],
            "an option twice": [*entries, entries[0]],
            "an unknown option": [*entries, {**entries[0], "option": "z"}],
            "in another order": entries[::-1],
            "another option instead": [{**entries[0], "option": "z"}, *entries[1:]],
            "absurd memory": [{**entries[0], "memory_bytes": 1 << 60}, *entries[1:]],
            "absurd latency": [
                {**entries[0], "latency": [{**entries[0]["latency"][0], "median_ms": 1e10}]},
                *entries[1:],
            ],
            "one thread count each": [{**e, "latency": [e["latency"][i % 2]]} for i, e in enumerate(entries)],
        }.items():
            cases.append(
                {"name": f"{name}: {what}", "base": name, "profile": {**profile, "options": options}, "budget": {}}
            )
        kept = [e for e in entries if e["option"] != "s0.5"]  # one in the middle, in both blocks
        gone = [
            {"segment": e["segment"], "option": e["option"], "reason": "dominated"} for e in entries if e not in kept
        ]
        skips = {**profile, "options": kept, "skipped": gone}
        for budget in ({}, {"memory_bytes": 3_100_000}, {"memory_bytes": 2_200_000}):
            cases.append({"name": f"{name} skips {budget}", "base": name, "profile": skips, "budget": budget})
        cases.append(
            {"name": f"{name}: another store", "base": name, "profile": {**profile, "store_id": "0" * 64}, "budget": {}}
        )
    return {"bases": bases, "cases": [{**c, "answer": vectors.measured_answer(c, bases[c["base"]])} for c in cases]}
