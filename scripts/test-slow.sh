#!/usr/bin/env bash
# Usage: scripts/test-slow.sh PACKAGE...
#
# Runs the tests of packages with little of a processor, so that whatever goes by the
# clock fails here and not on a busy machine by chance: each package alone, in a control
# group of its own, of the hierarchy that the machine has. Needs root.
#   PERCENT  of one processor that a package gets; default 25
#   COUNT    runs of each test; default 1
#   JOBS     packages at a time; default 2 for each processor
#   RACE     1: with the race detector
set -euo pipefail
cd "$(dirname "$0")/.."
percent=${PERCENT:-25} count=${COUNT:-1} jobs=${JOBS:-$((2 * $(nproc)))}
work=$(mktemp -d)
group=/sys/fs/cgroup/patchbay-test-slow-$$
[ -e /sys/fs/cgroup/cgroup.controllers ] || group=/sys/fs/cgroup/cpu/patchbay-test-slow-$$
trap 'rm -rf "$work"; for g in "$group"-*; do [ ! -d "$g" ] || rmdir "$g"; done' EXIT

build() {
	if [ "${RACE:-}" = 1 ]; then
		CGO_ENABLED=1 go test -race -c -o "$work/" "$@"
	else
		go test -c -o "$work/" "$@"
	fi
}

# run NAME DIRECTORY BINARY: prints one line, and all that the tests said if they fail.
run() {
	local own="$group-$1" began=$SECONDS
	mkdir "$own"
	if [ -e "$own/cpu.max" ]; then
		echo "$((percent * 1000)) 100000" >"$own/cpu.max"
	else
		echo $((percent * 1000)) >"$own/cpu.cfs_quota_us"
	fi
	if (
		echo "$BASHPID" >"$own/cgroup.procs"
		cd "$2" && exec "$3" -test.parallel 4 -test.count "$count" -test.timeout 1h
	) >"$work/$1.out" 2>&1; then
		echo "ok   $2 $((SECONDS - began))s"
	else
		echo "FAIL $2 $((SECONDS - began))s"
		cat "$work/$1.out"
		touch "$work/failed"
	fi
}

number=0
while read -r directory; do
	number=$((number + 1))
	build "$directory"
	mv "$work"/*.test "$work/$number"
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
	run "$number" "$directory" "$work/$number" &
done < <(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' "$@" | sed '/^$/d')
wait
[ ! -e "$work/failed" ]
