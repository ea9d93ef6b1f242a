#!/bin/sh
# Boots the systemd of a root directory in namespaces of its own: mounts, pids, cgroups (a cgroup2 tree without controllers), host
# name; the network is this machine's. $1: the root, which is not written to; $2: an empty directory; the rest: directories that
# are seen inside at the same path, read-only. It ends when its standard input does.
set -eu
root=$1 work=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs "$work"
mkdir "$work/upper" "$work/overlay" "$work/root" "$work/cgroup"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/overlay" "$work/root"
mount -t cgroup2 none "$work/cgroup"
group=$work/cgroup/k3s-daas-install.$$
mkdir "$group"
inside=$work/root
mkdir -p "$inside/proc" "$inside/sys" "$inside/dev" "$inside/run" "$inside/tmp" "$inside/mnt"
mount -t tmpfs -o mode=755 tmpfs "$inside/run"
mount -t tmpfs -o mode=1777 tmpfs "$inside/tmp"
mount --rbind /dev "$inside/dev"
for directory; do
  mkdir -p "$inside$directory"
  mount --bind "$directory" "$inside$directory"
  mount -o remount,bind,ro "$inside$directory"
done
: >"$inside/etc/machine-id"
echo worker-1 >"$inside/etc/hostname"

# shellcheck disable=SC2016
unshare --kill-child=KILL --fork --pid --mount --uts --ipc sh -c '
  echo 0 >"$2/cgroup.procs"
  exec unshare --cgroup sh -c '\''
    mount -t proc proc "$1/proc"
    mount -t sysfs -o ro sysfs "$1/sys"
    mount -t cgroup2 none "$1/sys/fs/cgroup"
    cd "$1"
    pivot_root . mnt
    umount -l /mnt
    # systemd hands credentials over by mounts that have to come through.
    mount --make-rshared /
    exec env -i container=k3s-daas-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      /lib/systemd/systemd --unit=basic.target </dev/null
  '\'' sh "$1"
' sh "$inside" "$group" </dev/null &
machine=$!
echo "holder $machine"
cat >/dev/null || :
kill -KILL "$machine" 2>/dev/null || :
wait "$machine" 2>/dev/null || :
# What it has started dies with the first process of its pid namespace.
for _ in 1 2 3 4 5 6 7 8 9 10; do
  find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
  sleep 0.2
done
