// Package usage reads from /proc what the processes of one instance of Patchbay
// use: memory and processor time.
package usage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Kind is what a process is for.
type Kind string

// The kinds of processes. What runs in containers is a kind of its own: it is
// the user's.
const (
	Daemon    Kind = "patchbayd"
	Plugin    Kind = "network plugin"
	Helper    Kind = "runtime helper"
	Container Kind = "container"
)

// Process is one process.
type Process struct {
	PID  int
	Kind Kind
}

// tick is the unit of times in /proc, USER_HZ of proc(5).
const tick = 10 * time.Millisecond

// helperDirectory is the variable of the environment by which a process knows
// its place below the run root.
const helperDirectory = "PATCHBAY_HELPER_DIRECTORY="

// Below returns the network plugins and runtime helpers whose directories are below
// a run root.
func Below(runRoot string) ([]Process, error) { return below("/proc", runRoot) }

func below(proc, runRoot string) ([]Process, error) {
	all, err := os.ReadDir(proc)
	if err != nil {
		return nil, err
	}
	var out []Process
	for _, e := range all {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environment, err := os.ReadFile(filepath.Join(proc, e.Name(), "environ"))
		if err != nil {
			continue // it has ended
		}
		if kind, ok := kindOf(environment, runRoot); ok {
			out = append(out, Process{pid, kind})
		}
	}
	return out, nil
}

func kindOf(environment []byte, runRoot string) (Kind, bool) {
	for v := range bytes.SplitSeq(environment, []byte{0}) {
		directory, ok := strings.CutPrefix(string(v), helperDirectory)
		if !ok {
			continue
		}
		place, ok := strings.CutPrefix(directory, runRoot+"/")
		if !ok {
			return "", false
		}
		if strings.HasPrefix(place, "networks/") {
			return Plugin, true
		}
		return Helper, true
	}
	return "", false
}

// PSS is the proportional share of a process's memory in bytes: what it has for
// itself, and its part of what it shares with others.
func PSS(pid int) (int64, error) { return pss("/proc", pid) }

func pss(proc string, pid int) (int64, error) {
	path := filepath.Join(proc, strconv.Itoa(pid), "smaps_rollup")
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "Pss:" && fields[2] == "kB" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("%s: has no line \"Pss:\"", path)
}

// CPU is the processor time that the threads of a process have used which it has
// now. It is exact where the kernel keeps it (CONFIG_SCHED_INFO), else in steps
// of 10 ms.
func CPU(pid int) (time.Duration, error) { return cpu("/proc", pid) }

func cpu(proc string, pid int) (time.Duration, error) {
	threads, err := filepath.Glob(filepath.Join(proc, strconv.Itoa(pid), "task", "*", "schedstat"))
	if err != nil {
		return 0, err
	}
	var used time.Duration
	for _, path := range threads {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		nanoseconds, err := strconv.ParseInt(strings.Fields(string(content) + " none")[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		used += time.Duration(nanoseconds)
	}
	if used > 0 {
		return used, nil
	}
	return ticks(filepath.Join(proc, strconv.Itoa(pid), "stat"))
}

// How long processes have to do nothing until they count as settled: longer than they wait
// themselves before they give back what they do not need while they are quiet. Some may never
// do nothing, so that there is an end of waiting for it.
const (
	settled     = 32 * time.Second
	settleLimit = 2 * time.Minute
)

// Settle returns when the processes have done nothing for a while, or do not come to rest
// within two minutes.
func Settle(ctx context.Context, processes []Process) error {
	return settle(ctx, processes, CPU, settled, settleLimit)
}

func settle(ctx context.Context, processes []Process, used func(pid int) (time.Duration, error), quiet, limit time.Duration) error {
	look := time.NewTicker(quiet / 6)
	defer look.Stop()
	var last time.Duration
	for begun, since := time.Now(), time.Now(); time.Since(since) < quiet && time.Since(begun) < limit; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		var sum time.Duration
		for _, p := range processes {
			one, err := used(p.PID)
			if err != nil {
				return fmt.Errorf("%s: %w", p.Kind, err)
			}
			sum += one
		}
		if sum != last {
			last, since = sum, time.Now()
		}
	}
	return nil
}

func ticks(path string) (time.Duration, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	const utime, stime = 14 - 3, 15 - 3 // proc_pid_stat(5), behind the name in parentheses
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	if len(fields) <= stime {
		return 0, fmt.Errorf("%s: has %d fields", path, len(fields))
	}
	user, userErr := strconv.ParseInt(fields[utime], 10, 64)
	system, systemErr := strconv.ParseInt(fields[stime], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(userErr, systemErr)
}
