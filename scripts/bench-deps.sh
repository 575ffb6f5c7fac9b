#!/usr/bin/env bash
# Installs the Debian packages of what the bench compares Patchbay with, those that
# are missing only. None of their services is started, nor at the next boot: the bench
# starts what it needs in namespaces of its own.
set -euo pipefail

packages=(podman netavark aardvark-dns docker.io containerd containernetworking-plugins crun runc iptables)

missing=()
for package in "${packages[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "missing packages: ${missing[*]}" >&2
	echo "install them as root: their services are not to be started; $0 sees to that" >&2
	exit 1
fi

# Maintainers' scripts ask this program before they start a service; one that
# is there already belongs to the host and stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
else
	# It may allow what this does not want.
	export RUNLEVEL=1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "${missing[@]}"
# They are not to be started at the next boot either; those of packages that were
# there before stay as they are.
services=()
for service in docker.service docker.socket containerd.service podman.socket podman.service podman-restart.service podman-auto-update.timer; do
	package=$(dpkg-query -S "*/systemd/system/$service" 2>/dev/null | cut -d: -f1 | head -n 1) || true
	[[ " ${missing[*]} " != *" $package "* ]] || services+=("$service")
done
if [ ${#services[@]} -gt 0 ] && command -v systemctl >/dev/null; then
	# On the disk, whether or not this host runs systemd.
	systemctl --quiet --root=/ disable "${services[@]}"
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
	echo "installed, and not to be started: ${services[*]}"
fi
