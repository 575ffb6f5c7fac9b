package qemu

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares lines with those of a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// pairs writes a command line with an option and its value in each line, but of the
// ports for devices the first alone.
func pairs(args []string) string {
	lines := strings.Split(strings.ReplaceAll(strings.Join(args, " "), " -", "\n-"), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return strings.Contains(l, "pcie-root-port") && !strings.Contains(l, "id=port0,")
	})
	return strings.Join(lines, "\n") + "\n"
}

func null(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// What the command line is with each accelerator and number of processors.
func TestArguments(t *testing.T) {
	t.Parallel()
	file := null(t)
	for _, accelerator := range []Accelerator{KVM, TCG} {
		for _, cpus := range []int{1, 4} {
			c := Config{
				Accelerator: accelerator, CPUs: cpus, MemoryBytes: 512 << 20, Agent: "agent", Kernel: file, Initrd: file, Console: file,
				Disks: []Disk{{File: file, Serial: "root", ReadOnly: true}, {Size: 1 << 30, Serial: "scratch"}},
			}
			golden(t, fmt.Sprintf("arguments-%s-%d", accelerator, cpus), pairs(arguments(c, &inherited{}, file, file)))
		}
	}
}

// What the command line has more for all that a machine can be given, and that a template
// does not depend on sockets.
func TestArgumentsOfAll(t *testing.T) {
	t.Parallel()
	file := null(t)
	c := Config{Accelerator: KVM, CPUs: 1, MemoryBytes: 128 << 20, Agent: "agent", Kernel: file, Initrd: file, Console: file}
	bare := pairs(arguments(c, &inherited{}, file, file))
	c.KernelArguments = "patchbay.drivers=one,two"
	c.Shares = []Share{{Tag: "shares", Socket: file}}
	c.Sockets = &Sockets{CID: 77777, File: file}
	golden(t, "arguments-all", added(bare, pairs(arguments(c, &inherited{}, file, file))))
	without := c
	without.Sockets = nil
	if !slices.Equal(c.Class(), without.Class()) {
		t.Errorf("class %q, without sockets %q", c.Class(), without.Class())
	}
	// One that goes on from a template has the device plugged in.
	c.Saved = []byte{1}
	if line := pairs(arguments(c, &inherited{}, file, file)); strings.Contains(line, "vsock") {
		t.Errorf("got %s", line)
	}
	device, err := json.Marshal(c.Sockets.device("sockets"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "sockets", string(device)+"\n")
}

// A machine without PCI has all that it will ever have in its command line.
func TestArgumentsOfAMicroVM(t *testing.T) {
	t.Parallel()
	file := null(t)
	four := []*os.File{file, file, file, file}
	c := Config{
		MicroVM: true, Accelerator: KVM, CPUs: 4, MemoryBytes: 128 << 20, Agent: "agent", Kernel: file, Initrd: file, Console: file,
		Disks:  []Disk{{File: file, Serial: "root", ReadOnly: true}, {Size: 1 << 30, Serial: "scratch"}},
		Shares: []Share{{Tag: "shares", Socket: file}}, Sockets: &Sockets{CID: 77777, File: file},
		Networks: []Network{
			{ID: "net0", MAC: "02:00:00:00:00:01", Frames: Frames{Queues: four[:1]}},
			{ID: "net1", MAC: "02:00:00:00:00:02", Frames: Frames{Queues: four, Vhost: four}},
			{ID: "net2", MAC: "02:00:00:00:00:03", Frames: Frames{Queues: four[:1], Datagrams: true}},
		},
	}
	line := pairs(arguments(c, &inherited{}, file, file))
	golden(t, "arguments-microvm", line)
	if strings.Contains(line, "-pci") || strings.Contains(line, "pcie") {
		t.Error("it has no PCI")
	}
}

// added are the lines that a text has and another one has not.
func added(before, after string) string {
	var out strings.Builder
	for line := range strings.Lines(after) {
		if !strings.Contains(before, line) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// What a network device is with each number of queues, with and without the kernel's
// part.
func TestNetworkDevice(t *testing.T) {
	t.Parallel()
	file := null(t)
	var out strings.Builder
	for _, vhost := range []bool{false, true} {
		for _, queues := range []int{1, 4} {
			f := Frames{Queues: make([]*os.File, queues)}
			for i := range f.Queues {
				f.Queues[i] = file
			}
			if vhost {
				f.Vhost = f.Queues
			}
			fmt.Fprintf(&out, "%d queues, vhost %v\n", queues, vhost)
			for _, v := range []any{f.netdev("net0"), f.device("net0", 3, "02:00:00:00:00:01")} {
				line, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, "%s\n", line)
			}
		}
	}
	line, err := json.Marshal(Frames{Queues: []*os.File{file}, Datagrams: true}.netdev("net0"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "datagrams\n%s\n", line)
	golden(t, "network", out.String())
}
