#!/usr/bin/env bash
# Usage: scripts/generated.sh generate | sum | verify
#
# Building buf takes minutes, and its input changes rarely. So api/generated.sum
# records the inputs that the committed code was generated from, and the code.
# "generate" writes all of it; "sum" prints what api/generated.sum should say now;
# "verify" compares, and runs buf itself into a copy when they differ or FULL=1 is
# set.
set -euo pipefail
cd "$(dirname "$0")/.."

generate() {
	code
	sum >api/generated.sum
}

# code generates below the current directory. The descriptors say what generated code does not.
code() {
	go tool -modfile=tools/buf/go.mod buf generate
	go tool -modfile=tools/buf/go.mod buf build --as-file-descriptor-set --exclude-source-info -o api/descriptors.binpb
}

sum() {
	{
		find api -name '*.proto' -o -name '*.pb.go' -o -name '*.connect.go' -o -name '*.binpb'
		find tools/protoc-gen-plain -name '*.go' ! -name '*_test.go'
		echo buf.gen.yaml
		echo buf.yaml
		echo tools/buf/go.mod
	} | LC_ALL=C sort | xargs sha256sum
	# The generators come with these modules.
	grep -E '^\s*(connectrpc.com/connect/v2|google.golang.org/protobuf) v' go.mod | tr -d '\t'
}

verify() {
	if [ "${FULL:-}" != 1 ] && diff <(sum) api/generated.sum >/dev/null 2>&1; then
		return
	fi
	copy=$(mktemp -d)
	trap 'rm -rf "$copy"' EXIT
	# The copy holds what buf reads; Go finds the generators by the go.mod.
	cp -r api buf.gen.yaml buf.yaml go.mod go.sum tools "$copy"
	find "$copy/api" \( -name '*.pb.go' -o -name '*.connect.go' -o -name '*.binpb' \) -delete
	(cd "$copy" && code)
	if ! diff -r "$copy/api" api --exclude generated.sum; then
		echo "generated code differs from api/**/*.proto: run \"make generate\"" >&2
		exit 1
	fi
	if ! diff <(sum) api/generated.sum >/dev/null 2>&1; then
		echo "api/generated.sum is out of date: run \"make generate\"" >&2
		exit 1
	fi
}

"$@"
