#!/usr/bin/env bash
# Time to start a container that publishes many ports, from the first one to the
# last: a line for each tenth of the containers.
#
# Settings by environment: CONTAINERS (200), PORTS (of each, 64), DOCUMENT (a file
# that gets the table between the lines "<!-- bench-ports -->" and
# "<!-- /bench-ports -->").
set -euo pipefail
. "$(dirname "$0")/lib.sh"
enter_host "$@"
prepare
containers=${CONTAINERS:-200} ports=${PORTS:-64} first=10000
if ((first + containers * ports > 65536)); then
	echo "bench-ports: $containers containers with $ports ports each: want at most $((65536 - first)) ports in all" >&2
	exit 1
fi

patchbay system start >/dev/null
rootfs "$work/rootfs.tar"
patchbay image import "$work/rootfs.tar" box:latest >/dev/null
patchbay network create web >/dev/null
patchbay run --rm --network web box true # what only the first one takes

# start_one NUMBER [FLAG...] starts a container and appends the time it took.
start_one() {
	local begin end number=$1
	shift
	begin=$(date +%s%N)
	patchbay run -d --name "c$number" --network web "$@" box sleep 100000 >/dev/null
	end=$(date +%s%N)
	echo $((end - begin))
}

for ((i = 0; i < containers; i++)); do
	from=$((first + i * ports))
	start_one "$i" -p "$from-$((from + ports - 1)):1-$ports" >>"$work/published"
done
# The same number of containers is there now: one more without any port.
for ((i = 0; i < 10; i++)); do
	start_one "plain$i" >>"$work/plain"
done

median() { sort -n | awk '{ t[NR] = $1 } END { printf "%.0f", t[int((NR + 1) / 2)] / 1e6 }'; }
report=$work/report
{
	echo "$(nproc) processors, Linux $(uname -r), $(date +%F), load $(cut -d' ' -f1 /proc/loadavg);" \
		"$containers containers with $ports TCP ports each, one after the other, on one network."
	echo
	echo "| containers | median ms of \`run -d\` |"
	echo "|---|---:|"
	tenth=$(((containers + 9) / 10))
	for ((i = 0; i < containers; i += tenth)); do
		last=$((i + tenth < containers ? i + tenth : containers))
		echo "| $((i + 1)) to $last | $(sed -n "$((i + 1)),${last}p" "$work/published" | median) |"
	done
	echo "| then 10 without ports | $(median <"$work/plain") |"
} | tee "$report"
if [ -n "${DOCUMENT:-}" ]; then
	awk -v report="$report" '
		$0 == "<!-- /bench-ports -->" { inside = 0 }
		!inside { print }
		$0 == "<!-- bench-ports -->" { inside = 1; print ""; while ((getline line < report) > 0) print line; print "" }
	' "$DOCUMENT" >"$work/document"
	cat "$work/document" >"$DOCUMENT"
fi
