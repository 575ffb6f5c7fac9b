package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Precedence is a control group whose processes get a processor before those of all others
// (cgroups(7)): what else the machine does costs them less.
type Precedence struct{ directory string }

// weights are the files that say so, with the greatest weight, in the places where either version of
// control groups has its root.
var weights = []struct{ root, file, greatest string }{
	{"/sys/fs/cgroup/cpu", "cpu.shares", "262144"},
	{"/sys/fs/cgroup", "cpu.weight", "10000"},
}

// NewPrecedence makes the group, of a name that begins with a slash, for this process and those that it
// starts from now on. It is fs.ErrNotExist where the host's control groups do not share out processors.
func NewPrecedence(name string) (*Precedence, error) {
	for _, w := range weights {
		p := &Precedence{filepath.Join(w.root, name)}
		if err := os.Mkdir(p.directory, 0o755); err != nil {
			continue
		}
		err := put(filepath.Join(p.directory, w.file), w.greatest)
		if err == nil {
			err = p.Add(os.Getpid())
		}
		if err == nil {
			return p, nil
		}
		if err := errors.Join(err, p.Close()); !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("control groups: no share of the processors: %w", fs.ErrNotExist)
}

// Add adds a process.
func (p *Precedence) Add(pid int) error { return enter(p.directory, pid) }

func enter(group string, pid int) error {
	return put(filepath.Join(group, "cgroup.procs"), strconv.Itoa(pid))
}

// put writes to a file that is there: where it is not, the directory may be none of control groups.
func put(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// Close moves the processes to the root of the control groups, wherever they came from, and removes the group.
func (p *Precedence) Close() error {
	members, err := os.ReadFile(filepath.Join(p.directory, "cgroup.procs"))
	for _, m := range strings.Fields(string(members)) {
		if pid, bad := strconv.Atoi(m); bad == nil {
			_ = enter(filepath.Dir(p.directory), pid) // it may have ended
		}
	}
	return errors.Join(err, os.Remove(p.directory))
}
