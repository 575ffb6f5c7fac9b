#!/usr/bin/env bash
# Installs the Debian packages that building, testing and running need, those
# that are missing only. Without root it says which those are.
set -euo pipefail

# What Patchbay itself needs on a host.
packages=(ca-certificates crun runc)
# The runtime vm: machines, their images and their scratch disks.
packages+=(e2fsprogs erofs-utils qemu-system-x86)
# Its daemon that shares files comes with QEMU until Debian 12.
if apt-cache show virtiofsd >/dev/null 2>&1; then packages+=(virtiofsd); fi
# What the tests, the demo and the bench use beside it: busybox for images made
# on the spot, ip and nft to look at the host, a C compiler for the race detector,
# Python for the example of a plugin in another language, strace to count what an
# operation costs.
packages+=(busybox-static gcc git iproute2 iputils-ping libc6-dev nftables python3 strace)

missing=()
for package in "${packages[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "missing packages: ${missing[*]}" >&2
	echo "install them with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "${missing[@]}"
