package helper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/rpc"
)

// adoptUnrecorded finds a helper without a record: patchbayd was killed between
// starting it and writing that down. The record is made up for. It is
// errdefs.ErrNotFound if there is none.
func adoptUnrecorded(directory string) (*Process, error) {
	none := fmt.Errorf("helper in %s: no process is left: %w", directory, errdefs.ErrNotFound)
	if _, err := os.Stat(directory); err != nil {
		return nil, none
	}
	pid, began := findUnrecorded(directory)
	if pid == 0 {
		return nil, none
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, none
	}
	// The pidfd pins the process: look again whether it is the one.
	binary, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || !marked(pid, directory) {
		return nil, errors.Join(none, unix.Close(pidfd))
	}
	p, err := newProcess(directory, pid, pidfd, false)
	if err != nil {
		return nil, err
	}
	if err := p.save(binary, began); err != nil {
		return nil, fmt.Errorf("helper in %s: %w", directory, err)
	}
	return p, nil
}

// findUnrecorded returns the oldest process that leads a session and has the
// mark, which its children inherit, and when it was started; 0 for none.
func findUnrecorded(directory string) (found int, oldest uint64) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, 0
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if leader, err := unix.Getsid(pid); err != nil || leader != pid || !marked(pid, directory) {
			continue
		}
		if start, err := startTime(pid); err == nil && (found == 0 || start < oldest) {
			found, oldest = pid, start
		}
	}
	return found, oldest
}

func marked(pid int, directory string) bool {
	environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	mark := []byte(rpc.DirectoryVariable + "=" + directory)
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if err == nil && bytes.Equal(variable, mark) {
			return true
		}
	}
	return false
}
