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
for service in docker.service docker.socket containerd.service podman.socket podman.service podman-restart.service podman-auto-update.timer; do
	# Those of packages that were there before stay as they are.
	package=$(dpkg-query -S "/lib/systemd/system/$service" 2>/dev/null | cut -d: -f1) || continue
	[[ " ${missing[*]} " == *" $package "* ]] || continue
	if [ -d /run/systemd/system ]; then
		systemctl --quiet disable "$service" 2>/dev/null || true
	else
		deb-systemd-helper disable "$service" >/dev/null 2>&1 || true
	fi
done
