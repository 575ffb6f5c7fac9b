#!/usr/bin/env bash
# Draws a start to exit of "true" on one network, with a helper on standby, as
# strace sees it, which makes it some times slower than it is. Setting by
# environment: PICTURE, an SVG file.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
one_cgroup_version "$@"
enter_host "$@"
driver=$repository/dist/build/timeline
prepare
calls=execve,clone,clone3,exit_group,write,fsync,fdatasync,sendto,sendmsg
strace -f -qq -ttt -s 96 --seccomp-bpf -e signal=none -e "trace=$calls" -o "|exec cat >$work/daemon" patchbayd 2>"$work/log" &
until patchbay system status >/dev/null 2>&1; do sleep 0.1; done
rootfs "$work/rootfs.tar"
patchbay image import "$work/rootfs.tar" box:latest >/dev/null
patchbay network create n1 >/dev/null
for _ in 1 2 3; do
	patchbay run --rm --network n1 box true
	sleep 1 # the next helper is started when this one has left the processor
done
strace -f -qq -ttt -s 96 --seccomp-bpf -e signal=none -e "trace=$calls" -o "$work/command" patchbay run --rm --network n1 box true
"$driver" "$work/daemon" "$work/command" "$PICTURE"
