#!/bin/sh
# Runs a command on a machine made of the one we are on, with Debian's OpenRC in it: namespaces and an overlay, gone afterwards. Needs
# root. The packages openrc, librc1 and libeinfo1 are unpacked in one directory (apt-get download, dpkg -x).
#   openrc-machine.sh PACKAGES FILES COMMAND
# FILES is a directory whose content is put over the root; COMMAND is for a shell.
set -eu
packages=$1 files=$2 command=$3

# As pid 1 of its own pid namespace: what a service leaves running ends with it.
if [ -z "${INSIDE:-}" ]; then
  exec env INSIDE=yes unshare --mount --pid --fork --kill-child -- "$0" "$packages" "$files" "$command"
fi

mount --make-rprivate /
scratch=$(mktemp -d)
mount -t tmpfs tmpfs "$scratch"
root=$scratch/root upper=$scratch/upper
mkdir -p "$root" "$upper/usr" "$upper/etc" "$scratch/work"
# Debian's /sbin, /lib and /bin are links into /usr: unpacked as directories they would hide all that is there.
for directory in sbin lib bin; do
  [ ! -d "$packages/$directory" ] || { mkdir -p "$upper/usr/$directory" && cp -a "$packages/$directory/." "$upper/usr/$directory/"; }
done
cp -a "$packages/usr/." "$upper/usr/"
cp -a "$packages/etc/." "$upper/etc/"
mount -t overlay overlay -o "lowerdir=/,upperdir=$upper,workdir=$scratch/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
# Scripts of sysvinit would want insserv.
rm -f "$root"/etc/init.d/*
touch "$root/etc/insserv.conf"
mkdir -p "$root/run/openrc" "$root/etc/runlevels/default" "$root/etc/runlevels/sysinit" "$root/etc/runlevels/boot"
for state in starting started stopping inactive wasinactive failed hotplugged daemons options exclusive scheduled tmp; do
  mkdir "$root/run/openrc/$state"
done
touch "$root/run/openrc/softlevel"
cp -a "$files/." "$root/"
chroot "$root" sh -c "$command"
