"""LegoDNN on an emulated 64-bit ARM machine with little memory: `make test-pi` (docs/raspberry-pi.md).

`image` lays out its disk on this machine, and `machine` boots it. In it `guest` runs the checks: it reports by
`console`, compares outputs of `compositions` with those of this machine, and watches models (`governed`) while memory
is scarce (`pressure`, `hog`). Debian's packages qemu-system-arm, cpio and e2fsprogs are needed.
"""
