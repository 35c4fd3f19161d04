#!/bin/sh
# machine.sh FOLDER CGROUP ADDRESS GATEWAY COMMAND...: runs COMMAND on a machine as new as FOLDER is, started by bench/cold/machine.ts in namespaces of its own:
# mounts, network, processes. Home, Docker's data and what runs lie in FOLDER or in memory; programs are this machine's. When it ends, so does all it started.
set -eu
folder=$1 cgroup=$2 address=$3 gateway=$4
shift 4

# Docker's own rules and bridges are those of this network; there is one way out, whose bytes are counted.
ip link set lo up
ip address add "$address/30" dev eth0
ip link set eth0 up
ip route add default via "$gateway"

mkdir -p "$folder/home" "$folder/docker" "$folder/bin" /var/lib/docker
cat /etc/resolv.conf >"$folder/resolv.conf"
mount --bind "$folder/home" "$HOME"
mount --bind "$folder/docker" /var/lib/docker
mount -t tmpfs none /run # no other engine's socket, nor its pid
mount --bind "$folder/resolv.conf" /etc/resolv.conf 2>/dev/null || true

# All that containers use counts too.
dockerd=$(command -v dockerd || true)
if [ -n "$dockerd" ]; then
  printf '#!/bin/sh\nexec %s --cgroup-parent=/%s --exec-opt native.cgroupdriver=cgroupfs "$@"\n' "$dockerd" "$cgroup" >"$folder/bin/dockerd"
  chmod +x "$folder/bin/dockerd"
fi
for group in /sys/fs/cgroup/cpuacct /sys/fs/cgroup; do
  if [ -e "$group/$cgroup/cgroup.procs" ]; then echo 0 >"$group/$cgroup/cgroup.procs"; fi
done
export PATH="$folder/bin:$PATH"
cd "$folder/tree"
exec "$@"
