package rpc

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// LifelineFDVariable names the environment variable with the file descriptor of a pipe
// that ends with the parent process. It may not be set.
const LifelineFDVariable = "PATCHBAY_LIFELINE_FD"

// DirectoryVariable names the environment variable with the directory that a helper was
// started in.
const DirectoryVariable = "PATCHBAY_HELPER_DIRECTORY"

// Lifeline tells of the end of the parent process.
type Lifeline struct{ pipe *os.File }

// InheritedLifeline returns the one that the parent process passed down, or nil.
func InheritedLifeline() (*Lifeline, error) {
	value := os.Getenv(LifelineFDVariable)
	if value == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%q: want the number of a pipe; this program is started by patchbayd: %w", LifelineFDVariable, value, errdefs.ErrFailedPrecondition)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil { // else who waits takes a thread
		return nil, fmt.Errorf("%s=%d: %w", LifelineFDVariable, fd, err)
	}
	return &Lifeline{os.NewFile(uintptr(fd), "lifeline")}, nil
}

// Await returns true when the parent process has ended, false after Close.
func (l *Lifeline) Await() bool {
	n, err := l.pipe.Read(make([]byte, 1))
	return n == 0 && err == io.EOF
}

// Close lets go of it.
func (l *Lifeline) Close() { l.pipe.Close() }
