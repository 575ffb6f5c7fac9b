// Package account reads what a control group has used from the files of its
// controllers, those of version 1 and of version 2 (Documentation/admin-guide/
// cgroup-v1 and cgroup-v2.rst of the kernel). Only the reading of files is not its
// own, so that one reader serves every host and the guests of virtual machines.
package account

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// Read returns the content of a group's file, or fs.ErrNotExist. The controller is
// that whose hierarchy of version 1 has the file; empty: that of version 2.
type Read func(controller, file string) ([]byte, error)

// V1 reads a group of version 1. What has no controller is nil; all is as soon
// as the group is gone.
func V1(read Read) (resource.Sample, error) {
	g := &reader{read: read}
	var s resource.Sample
	if used, ok := g.number("cpuacct", "cpuacct.usage"); ok {
		s.CPU = &resource.CPUUse{UsedNanoseconds: used, ThrottledNanoseconds: g.keyed("cpu", "cpu.stat")["throttled_time"]}
	}
	if used, ok := g.number("memory", "memory.usage_in_bytes"); ok {
		limit, _ := g.number("memory", "memory.limit_in_bytes")
		s.Memory = &resource.MemoryUse{UsedBytes: used, CacheBytes: g.keyed("memory", "memory.stat")["total_inactive_file"], LimitBytes: limit}
	}
	s.Processes = g.processes("pids")
	bytes, ok := g.operations("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")
	if ok {
		count, _ := g.operations("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced")
		s.Block = &resource.BlockUse{ReadBytes: bytes["Read"], WrittenBytes: bytes["Write"], Reads: count["Read"], Writes: count["Write"]}
	}
	return s, errors.Join(g.faults...)
}

// V2 reads a group of version 2. What has no controller is nil; all is as soon
// as the group is gone.
func V2(read Read) (resource.Sample, error) {
	g := &reader{read: read}
	var s resource.Sample
	if stat := g.keyed("", "cpu.stat"); stat != nil {
		const micro = 1000
		s.CPU = &resource.CPUUse{UsedNanoseconds: stat["usage_usec"] * micro, ThrottledNanoseconds: stat["throttled_usec"] * micro}
	}
	if used, ok := g.number("", "memory.current"); ok {
		limit, _ := g.number("", "memory.max")
		s.Memory = &resource.MemoryUse{UsedBytes: used, CacheBytes: g.keyed("", "memory.stat")["inactive_file"], LimitBytes: limit}
	}
	s.Processes = g.processes("")
	s.Block = g.io()
	return s, errors.Join(g.faults...)
}

// reader reads the files of one group and keeps what is wrong with them.
type reader struct {
	read   Read
	faults []error
}

func (g *reader) text(controller, file string) (string, bool) {
	content, err := g.read(controller, file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) { // removed while it was open
		return "", false
	}
	if err != nil {
		g.faults = append(g.faults, err)
		return "", false
	}
	return string(content), true
}

func (g *reader) fault(file, text string) {
	g.faults = append(g.faults, fmt.Errorf("control group: %s: cannot make sense of %q", file, text))
}

// unlimited is what a limit is above that is none: version 1 says the greatest
// number of pages, in bytes.
const unlimited = math.MaxInt64 / 2

// number reads a file of one number. "max" and what comes to the same is 0.
func (g *reader) number(controller, file string) (uint64, bool) {
	text, ok := g.text(controller, file)
	if !ok {
		return 0, false
	}
	text = strings.TrimSpace(text)
	if text == "max" {
		return 0, true
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		g.fault(file, text)
		return 0, false
	}
	if n > unlimited {
		return 0, true
	}
	return n, true
}

// keyed reads a file of lines of a key and a number; nil when there is none.
func (g *reader) keyed(controller, file string) map[string]uint64 {
	text, ok := g.text(controller, file)
	if !ok {
		return nil
	}
	out := map[string]uint64{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			g.fault(file, line)
			continue
		}
		out[key] = n
	}
	return out
}

func (g *reader) processes(controller string) *resource.ProcessUse {
	count, ok := g.number(controller, "pids.current")
	if !ok {
		return nil
	}
	limit, _ := g.number(controller, "pids.max")
	return &resource.ProcessUse{Count: count, Limit: limit}
}

// operations adds up a file of version 1 with lines "MAJOR:MINOR OPERATION
// NUMBER" over all devices, by operation. The first one of the files that is there
// is read: older kernels lack those that count the groups below.
func (g *reader) operations(files ...string) (map[string]uint64, bool) {
	for _, file := range files {
		text, ok := g.text("blkio", file)
		if !ok {
			continue
		}
		sums := map[string]uint64{}
		for line := range strings.Lines(text) {
			words := strings.Fields(line)
			if len(words) == 2 && words[0] == "Total" {
				continue // of all devices and operations
			}
			if len(words) != 3 {
				g.fault(file, line)
				continue
			}
			n, err := strconv.ParseUint(words[2], 10, 64)
			if err != nil {
				g.fault(file, line)
			}
			sums[words[1]] += n
		}
		return sums, true
	}
	return nil, false
}

// io adds up io.stat, "MAJOR:MINOR KEY=NUMBER...", over all devices.
func (g *reader) io() *resource.BlockUse {
	const file = "io.stat"
	text, ok := g.text("", file)
	if !ok {
		return nil
	}
	sums := map[string]uint64{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		for _, word := range words[min(1, len(words)):] {
			key, value, _ := strings.Cut(word, "=")
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				continue // what controllers of costs tell is not all numbers
			}
			sums[key] += n
		}
	}
	return &resource.BlockUse{ReadBytes: sums["rbytes"], WrittenBytes: sums["wbytes"], Reads: sums["rios"], Writes: sums["wios"]}
}
