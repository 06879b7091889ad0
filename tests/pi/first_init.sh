#!/bin/busybox sh
# The first process of the emulated machine: mounts the disk, and goes on there.
/bin/busybox mkdir -p /proc /sys /dev /disk
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /disk
exec /bin/busybox switch_root /disk /bin/sh /opt/product/tests/pi/init.sh
