#!/bin/bash
# A command on four ranks in four network namespaces of this machine, which are joined by links of a limited bandwidth. Needs root.
#
# tools/namespaces.sh RATE COMMAND...        as in: tools/namespaces.sh 1gbit python -m benchmarks.scaling --rank mnist_nin 64 1
set -euo pipefail

if [ "${1:-}" = --at ]; then # as mpiexec's ssh: --at is followed by its options, an address and a command
    shift
    while [[ "$1" == -* ]]; do shift; done
    exec ip netns exec "cldl${1##*.}" sh -c "${*:2}"
fi

rate=$1 ranks="1 2 3 4"
clean() { for name in cldl0 cldl1 cldl2 cldl3 cldl4; do ip netns del $name 2> /dev/null || true; done; }
trap 'clean; rm -f "$at"' EXIT
clean
ip netns add cldl0 # the switch
ip -n cldl0 link add switch type bridge
ip -n cldl0 link set switch up
for i in $ranks; do
    ip netns add cldl$i
    ip -n cldl$i link set lo up
    ip -n cldl$i link add eth0 type veth peer name port$i netns cldl0
    ip -n cldl0 link set port$i master switch up
    ip -n cldl$i addr add 10.77.0.$i/24 dev eth0
    ip -n cldl$i link set eth0 up
    ip netns exec cldl$i tc qdisc add dev eth0 root tbf rate "$rate" burst 256kb latency 50ms
    ip netns exec cldl0 tc qdisc add dev port$i root tbf rate "$rate" burst 256kb latency 50ms
done

at=$(mktemp)
printf '#!/bin/bash\nexec "%s" --at "$@"\n' "$(realpath "$0")" > "$at"
chmod +x "$at"
export MPIR_CVAR_NOLOCAL=1 UCX_TLS=tcp,self UCX_NET_DEVICES=eth0 # no shared memory between the four
ip netns exec cldl1 mpiexec -launcher ssh -launcher-exec "$at" -hosts 10.77.0.1,10.77.0.2,10.77.0.3,10.77.0.4 -n 4 "${@:2}"
