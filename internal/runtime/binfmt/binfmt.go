// Package binfmt says of a file that the kernel has no way to execute why that is
// so: execve(2) itself only says "exec format error", and too late.
package binfmt

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"
)

// head is how much of a file the kernel looks at to tell its format.
const head = 256

// machines are what the kernel of an architecture executes: its own programs and
// the older ones that it mostly can.
var machines = map[string][]elf.Machine{
	"amd64": {elf.EM_X86_64, elf.EM_386},
	"arm64": {elf.EM_AARCH64, elf.EM_ARM},
}

// Refusal returns why the kernel of this machine cannot execute a file, in words;
// empty when it can or may. The name is the file's.
func Refusal(f io.ReaderAt, name string) string {
	return refusal(f, name, runtime.GOARCH, registered)
}

// Describe returns what is wrong with a file that the kernel has refused for its
// format.
func Describe(f io.ReaderAt) string {
	none := func() ([]format, error) { return nil, nil }
	if why := refusal(f, "", runtime.GOARCH, none); why != "" {
		return why
	}
	return "the kernel does not know its format"
}

func refusal(f io.ReaderAt, name, architecture string, formats func() ([]format, error)) string {
	start := make([]byte, head)
	n, err := f.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "" // the kernel may know better
	}
	start = start[:n]
	why := wrong(start, architecture)
	if why == "" {
		return ""
	}
	others, err := formats()
	if err != nil || slices.ContainsFunc(others, func(o format) bool { return o.matches(start, path.Base(name)) }) {
		return ""
	}
	return why
}

// wrong returns what keeps the kernel itself from executing a file that begins so.
func wrong(start []byte, architecture string) string {
	switch {
	case len(start) == 0:
		return "it is empty"
	case bytes.HasPrefix(start, []byte("#!")):
		return ""
	case !bytes.HasPrefix(start, []byte(elf.ELFMAG)):
		return `it is neither a program nor a script whose first line begins with "#!"`
	}
	own, known := machines[architecture]
	machine, whole := machineOf(start)
	switch {
	case !whole:
		return "its header as a program is cut short"
	case !known || slices.Contains(own, machine):
		return ""
	}
	return fmt.Sprintf("it is a program for %s, and this machine is %s", machineName(machine), machineName(own[0]))
}

// machineOf reads e_machine of elf(5).
func machineOf(start []byte) (m elf.Machine, whole bool) {
	const place = 18
	if len(start) < place+2 {
		return 0, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(start[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	return elf.Machine(order.Uint16(start[place:])), true
}

func machineName(m elf.Machine) string {
	return strings.ToLower(strings.TrimPrefix(m.String(), "EM_"))
}
