#!/usr/bin/env bash
# Fails on functions that no program and no test reaches. What only tests reach
# is reported too, unless it is in a package for tests or part of the SDK,
# whose callers are plugins outside this module.
set -euo pipefail
cd "$(dirname "$0")/.."

# Generated code, the SDK and what exists for tests.
allowed='^(api/|networkplugin/|internal/netnstest/|test/)'

unreachable=$(go tool -modfile=tools/deadcode/go.mod deadcode -tags integration -test \
	-filter '^patchbay\.dev/patchbay' ./...)
found=$(grep -Ev "$allowed" <<<"$unreachable" || true) # grep fails where nothing is left
if [ -n "$found" ]; then
	echo "$found" >&2
	echo "unreachable code: delete it, or call it" >&2
	exit 1
fi
