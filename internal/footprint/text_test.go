package footprint

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestConstant(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"00400000-009bf000 r-xp 00000000 fe:01 1234                    /usr/lib/oci":   true,
		"009bf000-01002000 r--p 005bf000 fe:01 1234                    /a b (deleted)": true,
		"01002000-01068000 rw-p 00c02000 fe:01 1234                    /usr/lib/oci":   false, // its variables
		"01068000-030ad000 r--p 00000000 00:00 0":                                      false, // of no file
		"7f4364720000-7f4364900000 r--s 00000000 fe:01 1234            /var/lib/db":    false, // shared
		"7f43ab40b000-7f43ab40d000 r-xp 00000000 00:00 0               [vdso]":         false,
		"": false,
	} {
		if m, ok := constant(line); ok != want || (ok && m.from >= m.to) {
			t.Errorf("%q: got %x, %v, want %v", line, m, ok, want)
		}
	}
	if m, _ := constant("00400000-009bf000 r-xp 00000000 fe:01 1234 /x"); m != (mapping{0x400000, 0x9bf000}) {
		t.Errorf("got %x", m)
	}
}

func TestUnwritten(t *testing.T) {
	t.Parallel()
	const smaps = `00400000-009bf000 r-xp 00000000 fe:01 1234 /usr/lib/oci
Size:               5884 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
009bf000-01002000 r--p 005bf000 fe:01 1234 /usr/lib/oci
Anonymous:             4 kB
01002000-01068000 rw-p 00c02000 fe:01 1234 /usr/lib/oci
Anonymous:             0 kB
7f4364720000-7f4364900000 r--p 00000000 fe:01 1235 /usr/lib/libc.so
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0x9bf000}, {0x7f4364720000, 0x7f4364900000}}
	if got := unwritten(smaps); !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestUnmapProgram: of a program that is mapped as a whole stays mapped what is used.
func TestUnmapProgram(t *testing.T) {
	adviseConstants(unix.MADV_POPULATE_READ)
	before := mapped(t)
	unmapProgram()
	if now := mapped(t); now > before*3/4 {
		t.Errorf("%d KiB of files are mapped, %d before, want at most three quarters", now, before)
	}
}

// mapped is how much of files the process has mapped, in KiB.
func mapped(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "RssFile:"); ok {
			kilobytes, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes
		}
	}
	t.Fatal("the kernel does not tell how much of files is mapped")
	return 0
}
