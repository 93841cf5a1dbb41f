#!/usr/bin/env bash
# Starts systemd as the first process of a directory with a Debian in it: boot.sh DIRECTORY CGROUP. It has its own processes,
# mounts, network and control groups, and can change no setting of the kernel. machine.mjs calls it; it needs root.
set -euo pipefail
root=$1
cgroup=$2

if [[ ${3:-outside} == outside ]]; then
  mkdir "$cgroup"
  echo $$ > "$cgroup/cgroup.procs"
  exec unshare --mount --pid --fork --cgroup --ipc --uts --net --kill-child "$0" "$root" "$cgroup" inside
fi

mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  cp -a "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/mnt/outside"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
cd "$root"
pivot_root . mnt/outside
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=tidegate-test \
  sh -c 'umount -l /mnt/outside; exec /lib/systemd/systemd --system --unit=multi-user.target --show-status=false'
