#!/usr/bin/env bash
# Unpacks the kernel of Debian's cloud images, which virtual machines of the tests
# and the demo boot, below dist/kernel; it is not installed. Prints the image.
set -euo pipefail
cd "$(dirname "$0")/.."

find_image() { find dist/kernel/boot -name 'vmlinuz-*' 2>/dev/null; }

if [ -z "$(find_image)" ]; then
	package() {
		apt-cache depends --important "linux-image-cloud-$(dpkg --print-architecture)" 2>/dev/null |
			awk '/Depends: linux-image-/ { print $2 }'
	}
	name=$(package)
	if [ -z "$name" ]; then # no lists yet
		apt-get update -q >&2
		name=$(package)
	fi
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	chmod 755 "$work"
	(cd "$work" && apt-get download -q "$name" >&2)
	mkdir -p dist
	rm -rf dist/kernel dist/kernel.new
	dpkg-deb -x "$work"/*.deb dist/kernel.new
	mv dist/kernel.new dist/kernel
fi
find_image
