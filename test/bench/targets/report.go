package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/test/bench/document"
	"patchbay.dev/patchbay/test/bench/usage"
)

// sizes are the memory of one process of each kind (PSS): the one in the middle.
func (b *bench) sizes() (map[usage.Kind]int64, error) {
	processes, err := usage.Below(b.runRoot)
	if err != nil {
		return nil, err
	}
	roots := layout.Roots{RunRoot: b.runRoot}
	text, err := os.ReadFile(roots.Lock())
	if err != nil {
		return nil, err
	}
	daemon, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", roots.Lock(), err)
	}
	all := map[usage.Kind][]int64{}
	for _, p := range append(processes, usage.Process{PID: daemon, Kind: usage.Daemon}) {
		size, err := usage.PSS(p.PID)
		if err != nil {
			return nil, err
		}
		all[p.Kind] = append(all[p.Kind], size)
	}
	out := map[usage.Kind]int64{}
	for kind, sizes := range all {
		slices.Sort(sizes)
		out[kind] = sizes[len(sizes)/2]
	}
	return out, nil
}

// publish writes the table to standard output and, where the settings say so, into
// a page.
func publish(s settings, rows []row) error {
	var b strings.Builder
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "%d processors, Linux %s, %s, load %s; %d rounds in turn.\n\n", runtime.NumCPU(), unix.ByteSliceToString(name.Release[:]),
		time.Now().UTC().Format(time.DateOnly), strings.Fields(string(load))[0], s.rounds)
	b.WriteString("| what | target: at most | measured | met | |\n|---|---|---:|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.what, r.target, r.got, r.met, r.detail)
	}
	if _, err := os.Stdout.WriteString(b.String()); err != nil || s.document == "" {
		return err
	}
	return document.Put(s.document, "bench-targets", b.String())
}
