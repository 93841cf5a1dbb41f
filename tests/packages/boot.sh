#!/usr/bin/env bash
# Starts systemd as the first process of a directory with a Debian in it. Called in namespaces of its own: machine.mjs.
set -euo pipefail
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
cd "$root"
mkdir -p mnt/outside
pivot_root . mnt/outside
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=tidegate-test \
  sh -c 'umount -l /mnt/outside; exec /lib/systemd/systemd --system --unit=multi-user.target --show-status=false'
