#!/bin/sh
# machine.sh DIR CGROUP ADDRESS GATEWAY COMMAND...: runs COMMAND on a machine as new as DIR is, started by bench/cold/machine.ts in namespaces of its own:
# mounts, network, processes. Home, Docker's data and what runs lie in DIR or in memory; programs are this machine's. When it ends, so does all it started.
set -eu
dir=$1 cgroup=$2 address=$3 gateway=$4
shift 4

# Docker's own rules and bridges are those of this network; there is one way out, whose bytes are counted.
ip link set lo up
ip address add "$address/30" dev eth0
ip link set eth0 up
ip route add default via "$gateway"

mkdir -p "$dir/home" "$dir/docker" "$dir/bin" /var/lib/docker
cat /etc/resolv.conf >"$dir/resolv.conf"
mount --bind "$dir/home" "$HOME"
mount --bind "$dir/docker" /var/lib/docker
mount -t tmpfs none /run # no other engine's socket, nor its pid
mount --bind "$dir/resolv.conf" /etc/resolv.conf 2>/dev/null || true

# All that containers use counts too.
dockerd=$(command -v dockerd || true)
if [ -n "$dockerd" ]; then
  printf '#!/bin/sh\nexec %s --cgroup-parent=/%s --exec-opt native.cgroupdriver=cgroupfs "$@"\n' "$dockerd" "$cgroup" >"$dir/bin/dockerd"
  chmod +x "$dir/bin/dockerd"
fi
for group in /sys/fs/cgroup/cpuacct /sys/fs/cgroup; do
  if [ -e "$group/$cgroup/cgroup.procs" ]; then echo 0 >"$group/$cgroup/cgroup.procs"; fi
done
export PATH="$dir/bin:$PATH"
cd "$dir/tree"
exec "$@"
