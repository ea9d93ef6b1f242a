#!/bin/sh
# Makes a machine for a kubelet out of a container that may mount, and becomes k3s-daas. `--privileged` would do most of it, but asks for
# every capability there is, and a sandboxed engine lacks some.
set -eu
# cgroup v1: a mount for each controller; v2: one.
for group in /sys/fs/cgroup /sys/fs/cgroup/*; do
  if mountpoint -q "$group"; then mount -o remount,bind,rw "$group"; fi
done
# What a kubelet sets for the whole kernel: it may write there, and nothing comes of it.
mkdir -p /run/kernel
for file in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  mkdir -p "/run/kernel/$(dirname "$file")"
  cat "/proc/sys/$file" >"/run/kernel/$file"
  mount --bind "/run/kernel/$file" "/proc/sys/$file"
done
# The kubelet hands mounts on to pods.
mount --make-rshared /
exec /usr/local/bin/k3s-daas "$@"
