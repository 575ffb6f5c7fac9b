#!/usr/bin/env bash
# What operations cost beside a growing number of containers: a host of its own,
# a patchbayd in it, and test/bench/scale, which measures.
#
# Settings by environment: CONTAINERS (1000), NETWORKS_EACH (4), NETWORKS (as many
# as containers), PORTS (10 for each container), ROUNDS (5), LEVELS (5), IDLE
# (30, seconds), DOCUMENT (a page that gets the tables between the lines
# "<!-- bench-scale -->" and "<!-- /bench-scale -->"), PICTURE (an SVG file that
# gets the curves), RESULTS (a directory that gets what scripts/bench.sh puts beside
# the targets).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
enter_host "$@"
driver=$repository/dist/build/bench-scale
prepare
# A helper on standby takes a part of some starts and of others not; here each one
# pays for itself.
echo 'standby-helpers = 0' >"$PATCHBAY_CONFIG"
patchbay system start >/dev/null
rootfs "$work/rootfs.tar"
patchbay image import "$work/rootfs.tar" box:latest >/dev/null
"$driver"
