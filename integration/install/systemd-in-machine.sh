#!/bin/sh
# Boots the systemd of this root directory as the first process of a machine that real-machine.sh has made: network, host name,
# cgroups and state directories are those of the machine, pids are its own. $1: the machine's directory of copies (`scratch`); the rest:
# directories of /tmp that are seen inside at the same path. It ends when its standard input does; what it has started dies with it.
set -eu
scratch=$1
shift
# shellcheck disable=SC2016
unshare --kill-child=KILL --fork --pid --mount --ipc sh -c '
  set -eu
  scratch=$1
  shift
  mount -t proc proc /proc
  # A new /proc has not the copies of what a kubelet sets for the whole kernel.
  (cd "$scratch/sys" && find . -type f) | while read -r file; do
    mount --bind "$scratch/sys/$file" "/proc/sys/$file"
  done
  # systemd starts no udev where /sys cannot be written.
  mount -o remount,bind,ro /sys
  for directory in /usr/local /root /home /var/tmp; do
    mkdir -p "$scratch/upper$directory" "$scratch/work$directory"
    mount -t overlay overlay "$directory" \
      -o "lowerdir=$directory,upperdir=$scratch/upper$directory,workdir=$scratch/work$directory"
  done
  : >/etc/machine-id
  uname -n >/etc/hostname
  # systemd empties /tmp when it boots.
  mkdir -p "$scratch/tmp"
  mount -t tmpfs -o mode=1777 tmpfs "$scratch/tmp"
  for directory; do
    mkdir -p "$scratch$directory"
    mount --bind "$directory" "$scratch$directory"
  done
  mount --rbind "$scratch/tmp" /tmp
  # The kubelet hands mounts on to pods, and systemd credentials to units.
  mount --make-rshared /
  exec env -i container=k3s-daas-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=basic.target </dev/null
' sh "$scratch" "$@" </dev/null &
machine=$!
echo "holder $machine"
cat >/dev/null || :
kill -KILL "$machine" 2>/dev/null || :
wait "$machine" 2>/dev/null || :
