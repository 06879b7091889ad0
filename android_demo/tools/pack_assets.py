"""Pack a demo folder's stores, profiles and test digits as the app's assets.

`python -m android_demo.tools.pack_assets DEMO OUT` writes OUT/stores/NAME/ (the stores as they are, after every hash
was checked), OUT/profiles/NAME.profile.json, and OUT/digits.bin: big-endian int32 count, int32 values of one digit,
then count bytes of labels, then count x values little-endian float32. OUT is replaced as a whole.
"""

from __future__ import annotations

import shutil
import struct
import sys
from pathlib import Path

import numpy as np

from legodnn.errors import LegoError, StoreError
from legodnn.profile import Profile, default_path
from legodnn.store import Store


def pack(demo: Path, out: Path) -> list[str]:
    """Pack and return a line for each thing packed. LegoError if a store or profile is missing or damaged."""
    lines = []
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "profiles").mkdir(parents=True)
    for folder in sorted((demo / "stores").glob("*/manifest.json")):
        store, name = Store(folder.parent), folder.parent.name
        profile = Profile.load(default_path(store.path))
        profile.check_store(store)
        files = ["manifest.json", *(option.file for s in store.manifest.segments for option in s.options)]
        for file in files:
            (fresh / "stores" / name / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.path / file, fresh / "stores" / name / file)
        Store(fresh / "stores" / name)
        profile.save(fresh / "profiles" / f"{name}.profile.json")
        size = sum((fresh / "stores" / name / file).stat().st_size for file in files)
        lines.append(
            f"{name}: {len(store.manifest.blocks)} blocks, {len(files) - 1} options, {size / 1e6:.1f} MB, "
            f"profile of {profile.device.cpu}"
        )
    if not lines:
        raise StoreError(f"{demo / 'stores'} has no stores; `legodnn demo` writes them")
    digits = demo / "digits.npz"
    if not digits.is_file():
        raise StoreError(f"{digits} is missing; `legodnn demo` writes it")
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
