#!/usr/bin/env bash
# Usage: scripts/reference.sh generate | verify
#
# docs/reference/cli is generated from the commands themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

generate() {
	rm -rf docs/reference/cli
	go run ./internal/cli/gendocs docs/reference/cli
}

verify() {
	copy=$(mktemp -d)
	trap 'rm -rf "$copy"' EXIT
	go run ./internal/cli/gendocs "$copy"
	if ! diff -r "$copy" docs/reference/cli; then
		echo "docs/reference/cli differs from the commands: run \"make generate\"" >&2
		exit 1
	fi
}

"$@"
