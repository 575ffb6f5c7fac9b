#!/usr/bin/env bash
# The figures that Patchbay is to reach: a host of its own, a patchbayd in it, a
# bundle for bare crun with the same root file system, and test/bench/targets,
# which measures.
#
# Settings by environment: ROUNDS (30), BURST (50, containers at once), DOCUMENT (a page
# that gets the table between the lines "<!-- bench-targets -->" and
# "<!-- /bench-targets -->").
set -euo pipefail
. "$(dirname "$0")/lib.sh"
one_cgroup_version "$@"
enter_host "$@"
hide_unified
driver=$repository/dist/build/bench-targets
prepare
work=$(realpath "$work")
patchbay system start >/dev/null
rootfs "$work/rootfs.tar"
patchbay image import "$work/rootfs.tar" box:latest >/dev/null
export BUNDLE=$work/bundle
bundle crun "$BUNDLE"
"$driver"
