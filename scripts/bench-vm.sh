#!/usr/bin/env bash
# What a virtual machine costs: time until its command runs, booted and from a
# template; memory; throughput and latency by each strategy, to and from a container
# of the runtime oci on the same network.
#
# Settings by environment: RUNS (starts of each kind, 5), ROUNDS (of transfers, 3),
# MEGABYTES (of each, 64), DOCUMENT (a file that gets the tables between the lines
# "<!-- bench-vm -->" and "<!-- /bench-vm -->").
set -euo pipefail
. "$(dirname "$0")/lib.sh"
enter_host "$@"
prepare
runs=${RUNS:-5} rounds=${ROUNDS:-3} megabytes=${MEGABYTES:-64}

# restart starts patchbayd with lines for the table [vm] of its configuration.
restart() {
	patchbay system stop >/dev/null 2>&1 || true
	printf '[vm]\n%s\n' "$1" >"$PATCHBAY_CONFIG"
	patchbay system start >/dev/null
}

# timed COMMAND... prints how many nanoseconds a command takes.
timed() {
	local begin=$(date +%s%N)
	"$@" >/dev/null
	echo $(($(date +%s%N) - begin))
}

# column FILE prints the median, fastest and slowest of nanoseconds, in ms.
column() { sort -n "$1" | awk '{ t[NR] = $1 / 1e6 } END { printf "%.0f | %.0f | %.0f", t[int((NR + 1) / 2)], t[1], t[NR] }'; }

median() { sort -n | awk '{ t[NR] = $1 } END { printf "'"$1"'", t[int((NR + 1) / 2)] }'; }

restart ""
rootfs "$work/rootfs.tar"
patchbay image import "$work/rootfs.tar" box:latest >/dev/null
kernel=$("$repository/scripts/kernel.sh")
patchbay system kernel set "$repository/$kernel" >/dev/null 2>&1
accelerator=$(patchbay system kernel status | sed -n 's/^Accelerator: *//p')
patchbay system kernel warm --quiet >/dev/null
start=(run --rm --runtime vm --network none box true)
patchbay "${start[@]}" 2>/dev/null # what only the first one takes
load=$(cut -d' ' -f1 /proc/loadavg)
for ((i = 0; i < runs; i++)); do # in turn
	restart 'templates = false'
	timed patchbay "${start[@]}" 2>/dev/null >>"$work/cold"
	restart ''
	timed patchbay "${start[@]}" 2>/dev/null >>"$work/restored"
	timed patchbay run --rm --network none box true >>"$work/oci"
done

patchbay network create bridge >/dev/null
patchbay network create macvlan --plugin macvlan --option parent=uplink --subnet 10.77.0.0/24 >/dev/null
patchbay network create usermode --plugin usermode >/dev/null
networks=(--network bridge --network macvlan --network usermode)
patchbay run -d --name near "${networks[@]}" box sleep 100000 >/dev/null
patchbay run -d --runtime vm --memory 512m --name vm "${networks[@]}" box sleep 100000 >/dev/null 2>&1
for c in near vm; do
	patchbay exec "$c" sh -c "mkdir -p /srv && dd if=/dev/zero of=/srv/data bs=1M count=$megabytes 2>/dev/null && httpd -h /srv"
done

pss() { awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup"; }
field() { patchbay inspect "$1" | awk -F'[:,]' -v key="\"$2\"" '$1 ~ key { gsub(/ /, "", $2); print $2; exit }'; }
machine=$(pss "$(field vm pid)") helper=$(pss "$(field vm helperPid)")

# address CONTAINER NETWORK prints the IPv4 address of a container on a network.
address() { patchbay exec "$1" ip -4 -o addr show dev "eth$2" | awk '{ sub("/.*", "", $4); print $4; exit }'; }

# rate FROM TO-ADDRESS prints the Mbit/s with which a container fetches the file.
rate() { awk -v ns="$(timed patchbay exec "$1" wget -q -O /dev/null "http://$2/data")" -v mb="$megabytes" 'BEGIN { print mb * 1048576 * 8 / (ns / 1e9) / 1e6 }'; }

strategies=(bridge-port macvlan tap-stream)
for ((r = 0; r < rounds; r++)); do
	for i in 0 1 2; do
		rate near "$(address vm $i)" >>"$work/out$i"
		rate vm "$(address near $i)" >>"$work/in$i"
	done
done
for i in 0 1 2; do
	patchbay exec --user root vm ping -q -c 20 -i 0.1 "$(address near $i)" | awk -F/ '/round-trip/ { print $4 }' >"$work/ping$i"
done

report=$work/report
{
	echo "$(nproc) processors, Linux $(uname -r), $(date +%F), load $load. Accelerator: $accelerator."
	echo
	echo "| start to exit of \`true\`, no network; $runs rounds in turn | median ms | fastest | slowest |"
	echo "|---|---:|---:|---:|"
	echo "| virtual machine, booted | $(column "$work/cold") |"
	echo "| virtual machine, from a template | $(column "$work/restored") |"
	echo "| runtime oci | $(column "$work/oci") |"
	echo
	echo "| memory of an idle machine of 512 MiB on 3 networks, after an \`exec\` that wrote $megabytes MiB | PSS, MiB |"
	echo "|---|---:|"
	echo "| QEMU, with what the guest has touched | $((machine / 1024)) |"
	echo "| helper | $((helper / 1024)) |"
	echo
	echo "| strategy; $megabytes MiB by HTTP, median of $rounds; 20 pings | guest sends, Mbit/s | guest receives, Mbit/s | round trip, ms |"
	echo "|---|---:|---:|---:|"
	for i in 0 1 2; do
		echo "| ${strategies[i]} | $(median %.0f <"$work/out$i") | $(median %.0f <"$work/in$i") | $(cat "$work/ping$i") |"
	done
} | tee "$report"
if [ -n "${DOCUMENT:-}" ]; then
	awk -v report="$report" '
		$0 == "<!-- /bench-vm -->" { inside = 0 }
		!inside { print }
		$0 == "<!-- bench-vm -->" { inside = 1; print ""; while ((getline line < report) > 0) print line; print "" }
	' "$DOCUMENT" >"$work/document"
	cat "$work/document" >"$DOCUMENT"
fi
