"""Pack a demo folder's stores, profiles and test digits as the app's assets.

`python -m android_demo.tools.pack_assets DEMO OUT` writes a bundle of all stores in DEMO/stores (`legodnn bundle`), and
OUT/digits.bin: big-endian int32 count, int32 values of one digit, then count bytes of labels, then count x values
little-endian float32. OUT is replaced as a whole.
"""

from __future__ import annotations

import shutil
import struct
import sys
from pathlib import Path

import numpy as np

from legodnn.bundle import write_bundle
from legodnn.errors import LegoError, StoreError
from legodnn.profile import Profile
from legodnn.store import Store
from legodnn.workload import load_workload


def pack(demo: Path, out: Path) -> list[str]:
    """Pack and return a line for each thing packed. LegoError if a store or profile is missing or damaged."""
    stores = sorted(file.parent for file in (demo / "stores").glob("*/manifest.json"))
    if not stores:
        raise StoreError(f"{demo / 'stores'} has no stores; `legodnn demo` writes them")
    digits = demo / "digits.npz"
    if not digits.is_file():
        raise StoreError(f"{digits} is missing; `legodnn demo` writes it")
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    lines = []
    for model in write_bundle(load_workload(stores), fresh).models:
        store, cpu = Store(model.store), Profile.load(model.profile_path).device.cpu
        lines.append(f"{model.name}: {len(store.manifest.blocks)} blocks, profile of {cpu}")
    with np.load(digits) as arrays:
        x, y = arrays["x"].astype("<f4").reshape(len(arrays["y"]), -1), arrays["y"].astype(np.uint8)
    (fresh / "digits.bin").write_bytes(struct.pack(">ii", *x.shape) + y.tobytes() + x.tobytes())
    lines.append(f"digits: {len(y)}, {(fresh / 'digits.bin').stat().st_size / 1e6:.1f} MB")
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return lines


if __name__ == "__main__":
    try:
        print("\n".join(pack(Path(sys.argv[1]), Path(sys.argv[2]))))
    except LegoError as e:
        sys.exit(f"pack_assets: {e}")
