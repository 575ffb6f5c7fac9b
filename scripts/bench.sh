#!/usr/bin/env bash
# Start to exit of "true", with one network, of Patchbay beside bare OCI
# runtimes and podman, as far as they are installed. The commands take turns,
# so that a change of the machine's speed meets all alike; the table on standard
# output has medians, the fastest and slowest, and the ratio to bare crun, or to
# Patchbay where there is no crun.
#
# Settings by environment: RUNS (rounds, 20), NETWORKS (0 to 2, 1), DOCUMENT (a
# file that gets the table between the lines "<!-- bench -->" and "<!-- /bench -->").
set -euo pipefail
. "$(dirname "$0")/lib.sh"
one_cgroup_version "$@"
enter_host "$@"
hide_unified
prepare
work=$(realpath "$work") # runc refuses links on the way to a root file system

runs=${RUNS:-20}
networks=${NETWORKS:-1}
titles=() commands=() times=()

# peer TITLE COMMAND adds a line to the table; the command must work.
peer() {
	if ! bash -c "$2" >"$work/out" 2>&1; then
		echo "left out, for it fails here: $1: $(tail -n 1 "$work/out")" >&2
		return
	fi
	titles+=("$1")
	commands+=("$2")
	times+=("")
}

patchbay_up() {
	patchbay system start >/dev/null
	rootfs "$work/rootfs.tar"
	patchbay image import "$work/rootfs.tar" box:latest >/dev/null
	local i flags=""
	for i in $(seq "$networks"); do
		patchbay network create "n$i" >/dev/null
		flags+=" --network n$i"
	done
	peer "patchbay" "patchbay run --rm ${flags:---network none} box true"
}

runtimes_up() {
	local runtime
	for runtime in crun runc; do
		command -v "$runtime" >/dev/null || continue
		bundle "$runtime" "$work/bundle-$runtime"
		peer "$runtime run, empty network namespace" "$runtime --root $work/$runtime run -b $work/bundle-$runtime bench-$runtime"
	done
}

podman_up() {
	command -v podman >/dev/null || return 0
	local program missing=""
	for program in iptables ip6tables; do
		command -v "$program" >/dev/null || missing+=" $program"
	done
	[ -x /usr/lib/podman/netavark ] || [ -x /usr/libexec/podman/netavark ] || missing+=" netavark"
	if [ -n "$missing" ]; then
		echo "left out: podman, for it needs$missing (apt-get install iptables netavark)" >&2
		return
	fi
	local engine limits i free="" held=""
	engine="podman --root $work/podman/store --runroot $work/podman/run --tmpdir $work/podman/tmp --network-config-dir $work/podman/net"
	engine+=" --cgroup-manager=cgroupfs --storage-driver=overlay --log-level=error"
	podman_engine=$engine
	limits="--ulimit nofile=$(ulimit -Hn):$(ulimit -Hn) --ulimit nproc=30000:30000"
	$engine import -q "$work/rootfs.tar" localhost/box:latest >/dev/null
	for i in $(seq "$networks"); do
		$engine network create --disable-dns --subnet "10.78.$i.0/24" "free$i" >/dev/null
		$engine network create --disable-dns --subnet "10.79.$i.0/24" "held$i" >/dev/null
		free+=",free$i" held+=",held$i"
	done
	free=${free#,} held=${held#,}
	peer "podman" "$engine run --rm $limits --network ${free:-none} localhost/box:latest true"
	[ "$networks" -gt 0 ] || return 0
	# podman removes a bridge with its last container.
	$engine run -d $limits --name keeper --network "$held" localhost/box:latest sleep 100000 >/dev/null 2>&1 || true
	peer "podman, its bridge held by another container" "$engine run --rm $limits --network $held localhost/box:latest true"
}

podman_down() {
	[ -n "${podman_engine:-}" ] || return 0
	$podman_engine rm -fa -t 0 >/dev/null 2>&1 || true
	umount "$work/podman/store/overlay" 2>/dev/null || true
}

# measure runs each command once, in milliseconds with a fraction.
measure() {
	local i before after
	for i in "${!commands[@]}"; do
		before=${EPOCHREALTIME/./}
		bash -c "exec ${commands[$i]}" >/dev/null 2>&1
		after=${EPOCHREALTIME/./}
		times[i]+="$((after - before)) "
	done
}

table() {
	local i base="" median first last
	for i in "${!titles[@]}"; do
		[[ ${titles[$i]} == crun* ]] || [ "$i" = 0 ] || continue
		mapfile -t sorted < <(printf '%s\n' ${times[$i]} | sort -n)
		base=${sorted[$((${#sorted[@]} / 2))]}
	done
	echo "| start to exit of \`true\`, $networks network(s) | median ms | fastest | slowest | ratio |"
	echo "|---|---:|---:|---:|---:|"
	for i in "${!titles[@]}"; do
		mapfile -t sorted < <(printf '%s\n' ${times[$i]} | sort -n)
		median=${sorted[$((${#sorted[@]} / 2))]} first=${sorted[0]} last=${sorted[-1]}
		awk -v t="${titles[$i]}" -v m="$median" -v f="$first" -v l="$last" -v b="$base" \
			'BEGIN { printf "| %s | %.1f | %.1f | %.1f | %.2f |\n", t, m / 1000, f / 1000, l / 1000, m / b }'
	done
}

patchbay_up
runtimes_up
podman_up
for ((round = 0; round < runs; round++)); do
	measure
done
podman_down
report=$work/report
{
	echo "$(nproc) processors, $(uname -sr), $(date -u +%F), load $(cut -d" " -f1 /proc/loadavg); $runs rounds in turn."
	echo
	table
} | tee "$report"
if [ -n "${DOCUMENT:-}" ]; then
	awk -v report="$report" '
		$0 == "<!-- /bench -->" { inside = 0 }
		!inside { print }
		$0 == "<!-- bench -->" { inside = 1; print ""; while ((getline line < report) > 0) print line; print "" }
	' "$DOCUMENT" >"$work/document"
	cat "$work/document" >"$DOCUMENT"
fi
