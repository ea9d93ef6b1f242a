#!/bin/sh
# Runs a script in a root directory that is not written to, in namespaces of its own: mounts, pids, host name, no network.
# $1: the root; $2: an empty directory; $3: the release, seen as /mnt, read-only; $4: the script. For root.
set -eu
root=$1 work=$2 release=$3 script=$4
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$work"
mkdir "$work/upper" "$work/overlay" "$work/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/overlay" "$work/root"
inside=$work/root
mount --bind "$release" "$inside/mnt"
mount -o remount,bind,ro "$inside/mnt"
mount -t proc proc "$inside/proc"
mount --rbind /dev "$inside/dev"
mount -t tmpfs -o mode=1777 tmpfs "$inside/tmp"
cd "$inside"
exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NO_COLOR=1 \
  chroot . bash -euc "$script"
