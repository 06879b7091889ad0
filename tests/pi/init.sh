# The emulated machine's system: no services, only what the checks need. It ends when they do.
export PATH=/opt/legodnn/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 PYTHONUNBUFFERED=1
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox mkdir -p /dev/shm /dev/pts
busybox mount -t tmpfs shm /dev/shm
busybox mount -t devpts pts /dev/pts
busybox mount -t cgroup2 groups /sys/fs/cgroup
busybox --install -s  # sleep, false and so on, which tests start
busybox hostname emulated-pi
busybox ifconfig lo up
cd /opt/product
python -m tests.pi.guest
busybox poweroff -f
