#!/usr/bin/env bash
# Patchbay beside what it is compared with: namespaces in which nothing meets
# the machine's own network, file system and processes, a patchbayd, and
# test/bench/targets, which measures. What it compares with is installed by
# scripts/bench-deps.sh; what is not there or does not work here is left out.
#
# Settings by environment: PARTS and PEERS (some of them, all), QUICK (not empty: few
# rounds), BURST (50, containers at once), RESULTS (directory of what was measured,
# dist/bench; parts that are not measured again keep their figures there), DOCUMENT (a page
# that gets the tables between the lines "<!-- bench -->", "<!-- /bench -->" and
# "<!-- bench-figures -->", "<!-- /bench-figures -->"; its pictures go to images/ beside it).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
one_cgroup_version "$@"
enter_host "$@"
own_processes "$@"
hide_unified
prepare
work=$(realpath "$work") # crun refuses links on the way to a root file system
hide_state
export PATCHBAY_RUN_ROOT=/run/patchbay # in memory, as what peers keep until the next boot

export WORK=$work/peers TRAFFIC=$repository/dist/build/bench-traffic ROOTFS=$work/rootfs.tar BUNDLE=$work/bundle
export RESULTS=${RESULTS:-$repository/dist/bench} OUTSIDE=$far HOME=$work/home TMPDIR=$work/tmp
[ -z "${DOCUMENT:-}" ] || DOCUMENT=$(realpath "$DOCUMENT")
export DOCUMENT IMAGES=${DOCUMENT:+$(dirname "${DOCUMENT:-}")/}images
IMAGES=$(realpath -m "$IMAGES")
mkdir -p "$WORK" "$HOME" "$TMPDIR" "$RESULTS" "$IMAGES"

# All control groups of peers are below one, which goes at the end.
export CGROUP=/patchbay-bench-$RANDOM
remove_groups() {
	find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -type d -name "${CGROUP#/}*" | while read -r group; do
		find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
}

# end takes away what a driver has left that was killed in the middle: this is process
# 1 of its namespace, so that all others can be ended, and what was mounted is below $work.
end() {
	code=$?
	trap - EXIT
	set +e
	patchbay system stop >/dev/null 2>&1 || true
	disown -a # or each that is killed is told of
	kill -KILL -1 2>/dev/null || true
	awk -v below="$work/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | tac | while read -r place; do
		umount --lazy "$place" || true
	done
	remove_groups
	(exit $code)
	finish
}
trap end EXIT

rootfs "$ROOTFS"
bundle crun "$BUNDLE"
patchbay system start >/dev/null
patchbay image import "$ROOTFS" box:latest >/dev/null
"$repository/dist/build/bench-targets"
