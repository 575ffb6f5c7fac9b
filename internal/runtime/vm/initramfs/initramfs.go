// Package initramfs builds the initial file system of a guest: the agent, and the
// modules that its kernel needs.
package initramfs

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/vm/early"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
)

// Write writes the initial file system for a kernel as an archive that the kernel
// unpacks (Documentation/driver-api/early-userspace/buffer-format.rst, "newc").
func Write(w io.Writer, k kernel.Kernel, agent string) error {
	out := bufio.NewWriterSize(w, 1<<20)
	a := &archive{w: out}
	a.add("dev", unix.S_IFDIR|0o755, 0, nil)
	a.add("dev/console", unix.S_IFCHR|0o600, unix.Mkdev(5, 1), nil)
	a.add("dev/null", unix.S_IFCHR|0o666, unix.Mkdev(1, 3), nil)
	a.addFile("init", 0o755, agent)
	a.add(relative(early.Modules), unix.S_IFDIR|0o755, 0, nil)
	for _, name := range k.Files() {
		a.addFile(relative(path.Join(early.Modules, name)), 0o644, k.Module(name))
	}
	a.addList(early.List(""), k.Modules)
	for _, driver := range slices.Sorted(maps.Keys(k.Extras)) {
		a.addList(early.List(driver), k.Extras[driver])
	}
	a.add("TRAILER!!!", 0, 0, nil)
	if a.err != nil {
		return fmt.Errorf("initial file system: %w", a.err)
	}
	return out.Flush()
}

func relative(path string) string { return strings.TrimPrefix(path, "/") }

// archive writes entries until one fails.
type archive struct {
	w     io.Writer
	inode int
	err   error
}

func (a *archive) addList(path string, names []string) {
	a.add(relative(path), unix.S_IFREG|0o644, 0, []byte(strings.Join(names, "\n")))
}

func (a *archive) addFile(name string, mode uint32, source string) {
	if a.err != nil {
		return
	}
	content, err := os.ReadFile(source)
	if err != nil {
		a.err = err
		return
	}
	a.add(name, unix.S_IFREG|mode, 0, content)
}

func (a *archive) add(name string, mode uint32, device uint64, content []byte) {
	if a.err != nil {
		return
	}
	a.inode++
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, unix.Major(device), unix.Minor(device), len(name)+1, 0)
	a.write([]byte(header+name+"\x00"), len(header)+len(name)+1)
	a.write(content, len(content))
}

// write pads what it writes to four bytes.
func (a *archive) write(p []byte, length int) {
	if a.err != nil {
		return
	}
	if _, a.err = a.w.Write(p); a.err != nil {
		return
	}
	if rest := length % 4; rest != 0 {
		_, a.err = a.w.Write(make([]byte, 4-rest))
	}
}
