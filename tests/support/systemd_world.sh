#!/bin/bash
# Boots systemd in namespaces of its own over a copy-on-write view of this machine's files, lets it run DIR/run.sh as a
# service with DIR at /mnt/world, and ends. Its output is DIR/out. Called as: unshare -pfmniuC bash systemd_world.sh DIR
set -e
dir=$1
world=$(mktemp -d)
mount --make-rprivate /
mount -t tmpfs none "$world"
mkdir "$world/upper" "$world/work" "$world/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$world/upper,workdir=$world/work" "$world/root"
root=$world/root
mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys"
if [ -d /sys/fs/cgroup/unified ]; then
  mount -t tmpfs none "$root/sys/fs/cgroup"
  mkdir "$root/sys/fs/cgroup/unified" "$root/sys/fs/cgroup/systemd"
  mount -t cgroup2 none "$root/sys/fs/cgroup/unified"
  mount -t cgroup -o none,name=systemd none "$root/sys/fs/cgroup/systemd"
else
  mount -t cgroup2 none "$root/sys/fs/cgroup"
fi
mount -t tmpfs -o mode=755 none "$root/run"
mount -t tmpfs none "$root/tmp"
mount -t tmpfs -o mode=755 none "$root/dev"
for node in null zero random urandom full tty; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts" "$root/dev/mqueue"
ln -s /proc/self/fd "$root/dev/fd"
mkdir -p "$root/mnt/world"
mount --bind "$dir" "$root/mnt/world"
rm -rf "$root"/etc/systemd/system/*.wants
cat >"$root/etc/systemd/system/world.service" <<'UNIT'
[Service]
Type=oneshot
StandardOutput=file:/mnt/world/out
StandardError=file:/mnt/world/out
ExecStart=/bin/bash /mnt/world/run.sh
ExecStopPost=/bin/systemctl exit
UNIT
ip link set lo up
cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
mount --make-rshared /
exec env container=test /lib/systemd/systemd --unit=world.service --log-target=null
