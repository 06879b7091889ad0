"""Booting the emulated machine, and listening to what its checks report."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.pi.console import reports_in
from tests.pi.image import Image

# As fast as a good card. Pages of files that were dropped then cost what they cost on a device.
_CARD = "throttling.bps-read=45000000,throttling.iops-read=2500"


def reports(image: Image, log: Path, checks: Sequence[str], limit_s: float) -> Iterator[dict[str, Any]]:
    """Boot a machine, and yield what its checks report, as they do; the machine ends with the last of them.

    Args:
        image: what it is started with.
        log: gets everything that it writes on its console.
        checks: names of checks in `tests.pi.guest`, in their order.
        limit_s: seconds after which it is ended, whatever it does.
    """
    told = f"console=ttyAMA0 quiet loglevel=1 panic=-1 psi=1 checks={','.join(checks)}"
    words = [
        *("nice", "-n", "10", "qemu-system-aarch64", "-M", "virt", "-cpu", image.cpu, "-m", "1G"),
        *("-smp", str(min(4, os.cpu_count() or 1)), "-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", told, "-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none", "-no-reboot"),
        *("-drive", f"if=none,id=disk,format=raw,cache=unsafe,{_CARD},file={image.disk}"),
        *("-device", "virtio-blk-device,drive=disk"),
    ]
    machine = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        yield from reports_in(_written(machine, log, time.monotonic() + limit_s))
    finally:
        machine.kill()
        machine.wait()


def _written(machine: subprocess.Popen[bytes], log: Path, end_s: float) -> Iterator[bytes]:
    """Yield what a machine writes until it ends or its time is over, and keep it in a file."""
    assert machine.stdout is not None
    console, pieces = machine.stdout.fileno(), queue.Queue[bytes]()

    def listen() -> None:
        while piece := os.read(console, 1 << 16):
            pieces.put(piece)
        pieces.put(b"")

    threading.Thread(target=listen, daemon=True).start()
    with log.open("wb") as file:
        while (left := end_s - time.monotonic()) > 0:
            try:
                piece = pieces.get(timeout=left)
            except queue.Empty:
                return
            if not piece:
                return
            file.write(piece)
            file.flush()
            yield piece
