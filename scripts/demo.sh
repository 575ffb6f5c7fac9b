#!/usr/bin/env bash
# A tour: containers on networks of three plugins, in a host namespace of its own.
# Each command is printed before its output; the exit code is 0 only if all of
# it worked and nothing was left.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
enter_host "$@"
prepare

say() { printf '\n== %s\n' "$*"; }
run() {
	printf '\n$ %s\n' "$*"
	"$@"
}
# address NETWORK CONTAINER prints the container's IPv4 address there.
address() {
	patchbay exec "$2" ip -o -4 addr show dev "$1" | awk '{ sub("/.*", "", $4); print $4 }'
}

say "A host of its own: one uplink to the world, nothing else"
run ip -br addr
ip -br link >"$work/links"

say "Start Patchbay and make an image of busybox"
run patchbay system start
rootfs "$work/rootfs.tar"
run patchbay image import "$work/rootfs.tar" box:latest
run patchbay image list

say "Networks of three plugins"
run patchbay plugin list
run patchbay network create web
run patchbay network create db --internal
run patchbay network create lan --plugin macvlan --option parent=uplink --subnet 10.77.0.0/24
run patchbay network create user --plugin usermode
run patchbay network list

say "One container on all four, and a peer on each"
run patchbay run -d --name multi --network web --network db --network lan --network user box sleep 1000
for network in web db lan user; do
	run patchbay run -d --name "on-$network" --network "$network" box sleep 1000
done
run patchbay list

say "Its interfaces, in the order of the command line"
run patchbay exec multi ip -o addr
run patchbay exec multi ip route

say "Each peer is reached"
for network in web db lan user; do
	run patchbay exec multi ping -c 1 "$(address eth0 "on-$network")"
done

say "The world outside is reached through the first network, and not from the internal one"
run patchbay exec multi ping -c 1 198.51.100.1
run patchbay exec on-user ping -c 1 198.51.100.1
printf '\n$ patchbay exec on-db ping -c 1 -W 1 198.51.100.1    # must fail\n'
if patchbay exec on-db ping -c 1 -W 1 198.51.100.1; then
	echo "the internal network is open" >&2
	exit 1
fi

say "A virtual machine is one more container on the same networks"
run patchbay system kernel set dist/kernel/boot/vmlinuz-*
run patchbay system kernel warm # boots once; containers go on from there
run patchbay run -d --runtime vm --name machine --network web --network db box sleep 1000
run patchbay exec machine uname -r
for network in web db; do
	run patchbay exec machine ping -c 1 "multi.$network"
	run patchbay exec multi ping -c 1 "machine.$network"
done

say "What the networks know"
run patchbay network inspect web

say "Patchbay's server may die; containers do not notice"
# The demo's own server: it holds the lock in the demo's run root.
server=$(patchbay system status --format json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -n 1)
run kill -9 "$server"
run patchbay system start
run patchbay exec multi echo "still here"

say "Remove everything"
run patchbay delete --force multi machine on-web on-db on-lan on-user
run patchbay network delete web db lan user
run patchbay system stop
run ip -br addr
if ! diff "$work/links" <(ip -br link) || [ -n "$(nft list ruleset)" ]; then
	echo "something was left" >&2
	exit 1
fi
say "Done: nothing is left"
