#!/usr/bin/env bash
# A machine of its own for a real k3s: namespaces (network, mounts, host name, cgroups) with private state directories,
# made of the machine we are on. Needs root, util-linux and iproute2.
#
#   real-machine.sh keep ID HOME NAME BUNDLE NAMESERVER
#       makes it, prints "ready PID", and waits for the end of its standard input: then all that runs in it is killed,
#       also when its owner was killed
#   real-machine.sh enter ID PID COMMAND…
#       becomes COMMAND inside of it: same pid, its own signals and exit code
#
# Pids are those of the whole machine, so that what happens inside can be watched from outside. Everything that is not
# named below is shared, /tmp and /dev included.
set -euo pipefail
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# What k3s, kubelet, containerd and CNI plugins keep between starts: on disk below HOME/files, where outsiders see it.
kept=(/etc/rancher /etc/cni /opt/cni /var/lib/rancher /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers)
# Whatever else is written below these goes to memory, and away with the machine.
covered=(/etc /opt /usr/libexec /var/lib /var/log)
# What a kubelet sets for the whole kernel: it may write there, and nothing comes of it.
kernel=(vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes)

cgroup_version() { if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then echo 2; else echo 1; fi; }

# What cgroup v1 hierarchies are mounted by, one a line: `cpu,cpuacct`, `name=systemd`.
v1_hierarchies() { awk -F: '$1 != 0 { print $2 }' /proc/self/cgroup; }

# The cgroups of machine $1, one in every hierarchy.
cgroups() {
  local hierarchy at
  if [ "$(cgroup_version)" = 2 ]; then
    echo "/sys/fs/cgroup/$1"
    return
  fi
  while read -r hierarchy; do
    at=$(findmnt -rn -t cgroup -O "$hierarchy" -o TARGET | head -n 1)
    [ -z "$at" ] || echo "$at/$1"
  done < <(v1_hierarchies)
}

make_cgroups() {
  local group
  if [ "$(cgroup_version)" = 2 ]; then hand_on_controllers /sys/fs/cgroup; fi
  for group in $(cgroups "$1"); do
    mkdir "$group"
    # A v1 cpuset is born empty, and nothing can run in it.
    if [ -e "$group/cgroup.clone_children" ] && [ -e "$group/cpuset.mems" ]; then
      cat "$group/../cpuset.cpus" > "$group/cpuset.cpus"
      cat "$group/../cpuset.mems" > "$group/cpuset.mems"
      echo 1 > "$group/cgroup.clone_children"
    fi
  done
}

# cgroup v2: to the children of $1.
hand_on_controllers() {
  local controller
  for controller in $(cat "$1/cgroup.controllers"); do
    echo "+$controller" > "$1/cgroup.subtree_control"
  done
}

# Moves this shell. With v2 only a leaf may hold processes: `init`, as soon as it is there.
join_cgroups() {
  local group
  for group in $(cgroups "$1"); do
    if [ -d "$group/init" ]; then group=$group/init; fi
    echo $BASHPID > "$group/cgroup.procs"
  done
}

processes() {
  local group
  for group in $(cgroups "$1"); do
    [ ! -d "$group" ] || find "$group" -name cgroup.procs -exec cat {} + 2> /dev/null || true
  done | sort -un
}

destroy() {
  local pids group _
  for _ in $(seq 200); do
    pids=$(processes "$1")
    [ -n "$pids" ] || break
    # Some are gone by the time the signal is sent.
    # shellcheck disable=SC2086
    kill -KILL $pids 2> /dev/null || true
    sleep 0.05
  done
  for group in $(cgroups "$1"); do
    for _ in $(seq 40); do
      [ -d "$group" ] || break
      find "$group" -depth -type d -exec rmdir {} + 2> /dev/null || sleep 0.05
    done
  done
}

mount_cgroups() {
  local hierarchy name
  if [ "$1" = 2 ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mkdir /sys/fs/cgroup/init
    echo 0 > /sys/fs/cgroup/init/cgroup.procs
    hand_on_controllers /sys/fs/cgroup
    return
  fi
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  while read -r hierarchy; do
    name=${hierarchy#name=}
    mkdir "/sys/fs/cgroup/$name"
    if [ "$name" != "$hierarchy" ]; then hierarchy=none,$hierarchy; fi
    mount -t cgroup -o "$hierarchy" cgroup "/sys/fs/cgroup/$name"
  done < <(v1_hierarchies)
}

# Runs as the first process of the new namespaces, and stays as the one that holds them.
furnish() {
  local home=$1 name=$2 bundle=$3 nameserver=$4 version=$5 directory file
  hostname "$name"
  # sysfs shows the network devices of the namespace that it is mounted in; it covers the cgroup mounts.
  mount -t sysfs sysfs /sys
  mount_cgroups "$version"
  mkdir -p "$home/scratch"
  mount -t tmpfs -o mode=755 tmpfs "$home/scratch"
  for directory in "${covered[@]}"; do
    mkdir -p "$home/scratch/upper$directory" "$home/scratch/work$directory"
    mount -t overlay overlay "$directory" \
      -o "lowerdir=$directory,upperdir=$home/scratch/upper$directory,workdir=$home/scratch/work$directory"
  done
  mount -t tmpfs -o mode=755 tmpfs /run
  for directory in "${kept[@]}"; do
    mkdir -p "$directory" "$home/files$directory"
    mount --bind "$home/files$directory" "$directory"
  done
  # Every machine unpacks the same k3s: once is enough (k3s locks the directory while it does).
  mkdir -p /var/lib/rancher/k3s/data
  mount --bind "$bundle" /var/lib/rancher/k3s/data
  for file in "${kernel[@]}"; do
    mkdir -p "$(dirname "$home/scratch/sys/$file")"
    cat "/proc/sys/$file" > "$home/scratch/sys/$file"
    mount --bind "$home/scratch/sys/$file" "/proc/sys/$file"
  done
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" > /etc/hosts
  # It may be a link into what was covered.
  rm -f /etc/resolv.conf
  echo "nameserver $nameserver" > /etc/resolv.conf
  ip link set lo up
  # The kubelet hands mounts on to pods.
  mount --make-rshared /
  echo "ready $$"
  exec sleep infinity
}

keep() {
  local id=$1
  shift
  # The terminal's Ctrl-C is for the owner; the machine ends with it.
  trap '' INT TERM HUP
  # An owner that was killed reads no more: a word to it would be the end of us.
  # shellcheck disable=SC2064
  trap "exec > /dev/null 2>&1; destroy '$id'" EXIT
  make_cgroups "$id"
  {
    (
      trap - INT TERM HUP EXIT
      join_cgroups "$id"
      # Nobody else may be in there: with v2 its controllers could not be handed on.
      exec unshare --net --mount --uts --cgroup -- "$0" furnish "$@" "$(cgroup_version)" < /dev/null
    ) || echo failed
  } &
  # Ends when the owner closes it or dies.
  cat > /dev/null
}

enter() {
  local id=$1 pid=$2
  shift 2
  join_cgroups "$id"
  exec nsenter --target "$pid" --net --mount --uts --cgroup -- "$@"
}

"$@"
