#!/usr/bin/env bash
# What operations cost beside a growing number of containers: a host that fills, a
# second one that stays empty, each with a patchbayd of its own, and
# test/bench/scale, which measures on both in turns.
#
# Settings by environment: CONTAINERS (1000), NETWORKS_EACH (4), NETWORKS (as many
# as containers), PORTS (10 for each container), ROUNDS (8), LEVELS (5), IDLE
# (30, seconds), DOCUMENT (a page that gets the tables between the lines
# "<!-- bench-scale -->" and "<!-- /bench-scale -->"), PICTURE (an SVG file that
# gets the curves), RESULTS (a directory that gets what scripts/bench.sh puts beside
# the targets).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
swept "$@"
enter_host "$@"
own_processes "$@"
driver=$repository/dist/build/bench-scale
prepare
# A helper on standby takes a part of some starts and of others not; here each one
# pays for itself.
echo 'standby-helpers = 0' >"$PATCHBAY_CONFIG"

# The second host has mounts of its own too: a helper that starts takes over all that it finds.
keep empty --net --mount --propagation private
keep far_of_empty --net
wire "$empty" "$far_of_empty"
mkdir "$work/empty"
export EMPTY_RUN_ROOT=$work/empty/run
on_empty() {
	PATCHBAY_ROOT=$work/empty/root PATCHBAY_RUN_ROOT=$EMPTY_RUN_ROOT nsenter --net --mount --target "$empty" -- "$@"
}

rootfs "$work/rootfs.tar"
for host in "" on_empty; do
	$host patchbay system start >/dev/null
	$host patchbay image import "$work/rootfs.tar" box:latest >/dev/null
done
"$driver"
on_empty patchbay system stop >/dev/null
