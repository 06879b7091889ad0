"""Run cases in child processes, and measure each.

    python -m tests.fuzz.run --cases 10000 --seed 0
    python -m tests.fuzz.run --only KIND:NUMBER

A case passes if its file is accepted, or refused by a LegoError of a line or two, within a second of processor time and
200 MB. The last line that is printed is JSON: figures, and every case that did not pass, as KIND:NUMBER. `--only` runs
one again.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from legodnn.errors import LegoError
from tests.fuzz import cases, imported

ROOT = Path(__file__).resolve().parents[2]
SECONDS, BYTES, HANG_S = 1.0, 200e6, 120
_BATCH = 1000


def status(field: str) -> int:
    """Return a field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def run_case(ground: cases.Ground, kind: str, number: int) -> dict[str, Any]:
    """Run a case; return its outcome, its time, its peak memory, and the problem if there is one."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak of memory
    before, cpu, wall = status("VmRSS"), time.process_time(), time.perf_counter()
    outcome, problem = "accepted", None
    try:
        {**cases.KINDS, **cases.TENSORFLOW_KINDS}[kind](ground, random.Random(f"{kind}:{number}"))
    except LegoError as e:
        outcome = type(e).__name__
        message = str(e)
        if (
            len(message) > 3000
            or len(message.splitlines()) > 3
            or not message.replace("\n", "").replace("\t", "").isprintable()
        ):
            problem = f"message of {len(message)} characters: {message[:300]!r}"
    except Exception as e:
        outcome, problem = "other", "".join(traceback.format_exception(e))[-1500:]
    cpu, wall, memory = time.process_time() - cpu, time.perf_counter() - wall, max(0, status("VmHWM") - before)
    if problem is None and cpu > SECONDS:
        problem = f"{cpu:.2f} s"
    if problem is None and memory > BYTES:
        problem = f"{memory / 1e6:.0f} MB"
    return {"outcome": outcome, "cpu": cpu, "wall": wall, "memory": memory, "problem": problem}


def child(kind: str, first: int, count: int) -> None:
    """Run a batch of cases, and print each when it begins and when it has ended."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        ground = cases.Ground(Path(folder))
        if kind in cases.TENSORFLOW_KINDS:
            imported.seeds()
        for number in range(first, first + count):
            print(json.dumps({"at": number}), flush=True)
            print(json.dumps(run_case(ground, kind, number)), flush=True)


def batch(kind: str, first: int, count: int) -> list[dict[str, Any]]:
    """Run a batch in child processes; one that dies or hangs is the result of its case, and the next runs the rest."""
    results: list[dict[str, Any]] = []
    while len(results) < count:
        start = first + len(results)
        command = [sys.executable, "-m", "tests.fuzz.run", "--child", kind, str(start), str(first + count - start)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=HANG_S + count, check=False, cwd=ROOT
            )
            output, end = done.stdout, f"ended with {done.returncode}: {done.stderr[-1000:]}"
        except subprocess.TimeoutExpired as e:
            output, end = (e.stdout or b"").decode(), "hangs"
        lines = [json.loads(line) for line in output.splitlines()]
        results += [line for line in lines if "outcome" in line]
        if len(results) < count:
            results.append({"outcome": "crash", "cpu": 0.0, "wall": 0.0, "memory": 0, "problem": end})
    return results


def main() -> int:
    """Run what the arguments ask for, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000, help="in all, over all kinds")
    parser.add_argument("--seed", type=int, default=0, help="number of the first case of each kind")
    parser.add_argument("--kinds", nargs="+")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="one case, in this process, with its traceback")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], int(args.child[1]), int(args.child[2]))
        return 0
    if args.only:
        kind, _, number = args.only.partition(":")
        with tempfile.TemporaryDirectory() as folder:
            {**cases.KINDS, **cases.TENSORFLOW_KINDS}[kind](
                cases.Ground(Path(folder)), random.Random(f"{kind}:{number}")
            )
        return 0
    figures = fuzz(args.cases, args.seed, args.kinds or list(cases.KINDS))
    print(json.dumps(figures))
    return int(bool(figures["problems"]))


def fuzz(count: int, seed: int, kinds: list[str]) -> dict[str, Any]:
    """Run `count` cases, as many of each kind, numbered from `seed`; return the figures."""
    start, each = time.monotonic(), -(-count // len(kinds))
    by_kind: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for kind in kinds:
        results: list[dict[str, Any]] = []
        while len(results) < each:
            results += batch(kind, seed + len(results), min(_BATCH, each - len(results)))
        problems |= {f"{kind}:{seed + i}": r["problem"] for i, r in enumerate(results) if r["problem"]}
        by_kind[kind] = {
            "cases": len(results),
            "outcomes": dict(Counter(r["outcome"] for r in results).most_common()),
            "most_cpu_s": round(max(r["cpu"] for r in results), 3),
            "most_wall_s": round(max(r["wall"] for r in results), 3),
            "most_mb": round(max(r["memory"] for r in results) / 1e6, 1),
            "problems": sum(bool(r["problem"]) for r in results),
        }
        print(f"{kind}: {by_kind[kind]}", file=sys.stderr, flush=True)
    return {
        "cases": sum(k["cases"] for k in by_kind.values()),
        "seed": seed,
        "seconds": round(time.monotonic() - start, 1),
        "kinds": by_kind,
        "problems": problems,
    }


if __name__ == "__main__":
    sys.exit(main())
