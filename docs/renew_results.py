"""Everything that docs/results.md tells, measured anew: benchmarks one after the other, then pictures and figures.

    python docs/renew_results.py --data DATA --work DIR

DATA holds what `comparison.py` takes. DIR keeps what each benchmark has done; one that has ended is not run again, so
an interrupted run that is started again goes on. A result replaces the committed one when its benchmark has ended. It
takes hours of a machine on which nothing else runs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from legodnn.files import write_atomic

ROOT = Path(__file__).resolve().parent.parent
# Results by name: the benchmark, whether it takes data, the folder in DIR that it keeps its work in, and its arguments.
RESULTS = {
    "comparison": ("comparison.py", True, "resnet20", ["--effort", "0.5", "--test", "2000"]),
    "comparison_vgg16_half": ("comparison.py", True, "vgg16_half", ["--network", "vgg16_half", "--test", "2000"]),
    "comparison_resnet56": (
        *("comparison.py", True, "resnet56"),
        ["--network", "resnet56", "--effort", "0.5", "--test", "2000"],
    ),
    "comparison_fcn": ("comparison.py", True, "fcn", ["--network", "fcn"]),
    "several": ("several.py", False, ".", []),  # runs the stores of ResNet-20 and VGG16
    "moving_limits": ("moving_limits.py", False, "moving_limits", []),
}


def main() -> None:
    """Run what has not ended yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with the data sets")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="folder that keeps what is done")
    args = parser.parse_args()
    for name, (script, takes_data, folder, arguments) in RESULTS.items():
        done = args.work / f"{name}.json"
        if not done.exists():
            print(f"{name}: running", file=sys.stderr)
            data = ["--data", str(args.data)] if takes_data else []
            command = [sys.executable, str(ROOT / "benchmarks" / script), *data, "--work", str(args.work / folder)]
            ran = subprocess.run([*command, *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=True)
            write_atomic(done, ran.stdout)
        write_atomic(ROOT / "benchmarks" / "results" / f"{name}.json", done.read_text())
    for script, *more in (["draw_comparison.py"], ["figures.py", "--write"]):
        subprocess.run([sys.executable, str(ROOT / "docs" / script), *more], check=True)


if __name__ == "__main__":
    main()
