"""Test this commit on an emulated 64-bit ARM machine, and print what was found: `make test-pi`.

    python -m tests.pi                          # on a machine with pages of 4 KiB, then on one with 16 KiB
    python -m tests.pi 4k --only system install doctor outputs

It takes some ten minutes of processor time for each machine. Packages, wheels and what is laid out of them are kept in
build/pi, and so is what the machine wrote on its console.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time

from tests.pi.guest import CHECKS
from tests.pi.image import KERNELS, WORK, make
from tests.pi.machine import reports

# Programs that are needed here, and Debian's packages that have them.
_NEEDED = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
    "cpio": "cpio",
    "qemu-system-aarch64": "qemu-system-arm",
}


def main() -> int:
    """Run the checks on each machine that was asked for; 1 if one did not pass, 2 if they cannot be run here."""
    parser = argparse.ArgumentParser("python -m tests.pi", description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", default=list(KERNELS), help=f"{' or '.join(KERNELS)}; both if not given")
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS), help="checks, in their order")
    parser.add_argument("--limit", type=float, default=90.0, help="most minutes for one machine (default: 90)")
    args = parser.parse_args()
    if unknown := set(args.pages) - KERNELS.keys():
        parser.error(f"no machine with pages of {', '.join(unknown)}; there are {', '.join(KERNELS)}")
    if missing := [package for program, package in _NEEDED.items() if not shutil.which(program)]:
        print(f"first: apt-get install --no-install-recommends {' '.join(missing)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a machine that runs is ended as well
    start, failed = time.monotonic(), 0

    def say(what: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - start), 60)
        print(f"{minutes:3}:{seconds:02}  {what}", flush=True)

    for pages in args.pages:
        say(f"making a machine with pages of {pages}")
        try:
            image = make(pages, say)
        except subprocess.CalledProcessError as e:
            print(f"{e.cmd[0]} failed; what it said stands above. The next run goes on from here.", file=sys.stderr)
            return 2
        say("booting")
        found = []
        for report in reports(image, WORK / f"console-{pages}.log", args.only, args.limit * 60):
            found.append(report)
            first, *others = report["found"].splitlines() or [""]
            say(f"{'passed' if report['passed'] else 'FAILED'}  {report['check']}: {first}")
            for line in others:
                print(f"{'':8}{line}", flush=True)
        (WORK / f"report-{pages}.json").write_text(json.dumps(found, indent=1))
        passed = sum(report["passed"] for report in found)
        say(f"{passed} of {len(args.only)} checks passed with pages of {pages}; more in {WORK}/console-{pages}.log")
        failed += len(args.only) - passed
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
