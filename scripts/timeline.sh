#!/usr/bin/env bash
# Draws a start to exit of "true" on one network, with a helper on standby, as
# "patchbay system trace" tells of it. Settings by environment: PICTURE, a file (see
# "patchbay system trace --help"), NETWORKS=1.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
one_cgroup_version "$@"
enter_host "$@"
prepare
patchbay system start >/dev/null
rootfs "$work/rootfs.tar"
patchbay image import "$work/rootfs.tar" box:latest >/dev/null
networks=()
for i in $(seq "${NETWORKS:-1}"); do
	patchbay network create "n$i" >/dev/null
	networks+=(--network "n$i")
done
for _ in 1 2 3; do
	patchbay run --rm "${networks[@]}" box true
	sleep 1 # the next helper is started when this one has left the processor
done
patchbay system trace --output "$PICTURE" -- run --rm "${networks[@]}" box true
