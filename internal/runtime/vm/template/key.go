// Package template keeps virtual machines that were booted and saved before anything
// of a container was in them, for others to go on from.
//
// A template is a directory: the memory of the guest, which machines map
// privately, and the state of its devices. It is good for exactly one kind of machine on
// this boot of the host, which its Key says all of. What is written has so not to
// outlive the host and is not forced to the disk.
package template

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
)

// format is the version of a template's files.
const format = 1

// Key is all that a template depends on. Whoever differs in one thing needs another.
type Key struct {
	Host   Host   `json:"host"`
	QEMU   string `json:"qemu"`   // identity of the program, see Program
	Kernel string `json:"kernel"` // digest of the guest's kernel and its modules
	Agent  string `json:"agent"`  // identity of the guest's agent, see Program
	// Machine is the command line, but for the files that are behind devices.
	Machine     []string `json:"machine"`
	Accelerator string   `json:"accelerator"`
	MemoryBytes int64    `json:"memoryBytes"`
	CPUs        int      `json:"cpus"`
	Format      int      `json:"format"`
}

// Host is one boot of a host.
type Host struct {
	Boot      string `json:"boot"`      // random(4), boot_id
	Processor string `json:"processor"` // its model, microcode and flags, as a digest
}

// id is the name of the template's directory.
func (k Key) id() string {
	k.Format = format
	text, _ := json.Marshal(k) // strings and numbers
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// sameWorld says whether templates of both keys may be of use at the same time: all
// that differs is the size of the machine.
func (k Key) sameWorld(other Key) bool {
	for _, key := range []*Key{&k, &other} {
		key.Machine, key.MemoryBytes, key.CPUs, key.Accelerator, key.Format = nil, 0, 0, "", 0
	}
	return reflect.DeepEqual(k, other)
}

// ThisHost tells the boot and processor of this host.
func ThisHost() (Host, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Host{}, err
	}
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return Host{}, err
	}
	defer f.Close()
	first := make([]byte, 8192) // those of a machine's processors are alike
	n, err := io.ReadFull(f, first)
	if err != nil && n == 0 {
		return Host{}, err
	}
	return Host{Boot: strings.TrimSpace(string(boot)), Processor: processor(first[:n])}, nil
}

// processor is a digest of what /proc/cpuinfo says of the first processor, without
// what changes while it runs.
func processor(text []byte) string {
	sum := sha256.New()
	for line := range bytes.Lines(text) {
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			break // the end of the first
		}
		switch strings.TrimSpace(name) {
		case "vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags":
			fmt.Fprintf(sum, "%s%s", name, value)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Program tells an installed program from every other one that was or will be
// installed by the same name.
func Program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	inode := uint64(0)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = stat.Ino
	}
	return fmt.Sprintf("%s %d %d %d", path, info.Size(), info.ModTime().UnixNano(), inode), nil
}
