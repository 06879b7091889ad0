"""LegoDNN on an emulated 64-bit ARM machine with little memory: `make test-pi` (docs/raspberry-pi.md).

`image` lays out its disk on this machine, `machine` boots it, `guest` runs in it and reports, `compositions` is run on
both sides and its results compared. Debian's packages qemu-system-arm, cpio and e2fsprogs are needed; root rights and
QEMU's acceleration are not.
"""
