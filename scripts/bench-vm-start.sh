#!/usr/bin/env bash
# Time to start a container in a virtual machine: one that boots, and one that goes
# on from a machine that was booted before. Both take turns with a container of the
# runtime oci, so that a change of the machine's speed meets all alike.
#
# Settings by environment: ROUNDS (10), DOCUMENT (a file that gets the table between
# the lines "<!-- bench-vm-start -->" and "<!-- /bench-vm-start -->").
set -euo pipefail
. "$(dirname "$0")/lib.sh"
enter_host "$@"
prepare
rounds=${ROUNDS:-10}
trap 'micro system stop -t 0 >/dev/null 2>&1 || true; booting system stop -t 0 >/dev/null 2>&1 || true; finish' EXIT

# booting speaks to an instance of its own, in the other namespace, whose machines
# always boot.
booting() {
	PATCHBAY_ROOT=$work/root2 PATCHBAY_RUN_ROOT=$work/run2 PATCHBAY_CONFIG=$work/config2.toml far patchbay "$@"
}
printf '[vm]\ntemplates = false\nmachine = "q35"\n' >"$work/config2.toml"

# micro is one more, whose machines are microvms.
micro() {
	PATCHBAY_ROOT=$work/root3 PATCHBAY_RUN_ROOT=$work/run3 PATCHBAY_CONFIG=$work/config3.toml far patchbay "$@"
}
printf '[vm]\nmachine = "microvm"\n' >"$work/config3.toml"

rootfs "$work/rootfs.tar"
kernel=$(scripts/kernel.sh)
mkdir "$work/shared"
for instance in patchbay booting micro; do
	$instance system start >/dev/null
	$instance image import "$work/rootfs.tar" box:latest >/dev/null
	$instance network create web >/dev/null
	$instance system kernel set "$kernel" >/dev/null 2>&1
	$instance run --rm --runtime vm --network none box true 2>/dev/null # what only the first one takes
done
patchbay system kernel warm --quiet >/dev/null

# measure NAME INSTANCE [FLAG...] appends the nanoseconds until the command of a
# container runs, and until one more command in it has ended.
measure() {
	local begin started ended name=$1 instance=$2
	shift 2
	begin=$(date +%s%N)
	$instance run -d --name c "$@" box sleep 100000 >/dev/null 2>&1
	started=$(date +%s%N)
	$instance exec c true
	ended=$(date +%s%N)
	$instance delete -f c >/dev/null
	echo $((started - begin)) >>"$work/$name.started"
	echo $((ended - begin)) >>"$work/$name.ended"
}

for ((i = 0; i < rounds; i++)); do
	measure boot booting --runtime vm --network web
	measure micro micro --runtime vm --network web
	measure restore patchbay --runtime vm --network web
	measure bare patchbay --runtime vm --network none
	measure shares patchbay --runtime vm --network web -v "$work/shared:/shared"
	measure oci patchbay --network web
done

numbers() { sort -n "$1" | awk '{ t[NR] = $1 / 1e6 } END { printf "%.0f | %.0f | %.0f", t[int((NR + 1) / 2)], t[1], t[NR] }'; }
row() { echo "| $1 | $(numbers "$work/$2.started") | $(numbers "$work/$2.ended" | cut -d' ' -f1) |"; }
report=$work/report
{
	echo "$(nproc) processors, Linux $(uname -r), $(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([0-9.]*\).*/QEMU \1/p')," \
		"guests by $(patchbay system kernel status --format json | sed -n 's/^ *"accelerator": "\(.*\)",$/\1/p' | head -1), $(date +%F)," \
		"load $(cut -d' ' -f1 /proc/loadavg); $rounds rounds in turn."
	echo
	echo "| \`run -d\`, until the command runs | median ms | fastest | slowest | median ms until an \`exec\` beside it has ended |"
	echo "|---|---:|---:|---:|---:|"
	row "a virtual machine that boots, 1 network" boot
	row "one of type microvm, which boots too, 1 network" micro
	row "one that goes on from a template, 1 network" restore
	row "the same without a network" bare
	row "the same with 1 network and 1 bind mount" shares
	row "runtime \`oci\`, 1 network" oci
} | tee "$report"
if [ -n "${DOCUMENT:-}" ]; then
	awk -v report="$report" '
		$0 == "<!-- /bench-vm-start -->" { inside = 0 }
		!inside { print }
		$0 == "<!-- bench-vm-start -->" { inside = 1; print ""; while ((getline line < report) > 0) print line; print "" }
	' "$DOCUMENT" >"$work/document"
	cat "$work/document" >"$DOCUMENT"
fi
