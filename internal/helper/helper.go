// Package helper starts the helper processes of patchbayd, network plugins and
// runtime helpers, and finds them again after patchbayd was killed.
//
// A helper outlives patchbayd. It gets its listening socket, bound before the
// program is executed, as a file descriptor, so that it is ready when it
// answers its first call and refuses connections when it is dead. Its death is
// seen by pidfd, whoever its parent is. What it writes to standard error goes to
// a file in its directory.
package helper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/atomicfile"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/timerslack"
)

// The files in a helper's directory.
const (
	RecordFile = "helper.json"
	StderrFile = "stderr.log"
)

// listenFD and lifelineFD are the first of exec.Cmd's ExtraFiles.
const (
	listenFD = 3 + iota
	lifelineFD
)

// Config says what to start.
type Config struct {
	// Directory of the helper; it is made if it does not exist, for root only.
	Directory string
	// Socket is the path that the helper serves; it may exist from an earlier
	// process.
	Socket string
	// Binary is the absolute path of the program, Name what it is called in
	// process lists, Args what follows.
	Binary string
	Name   string
	Args   []string
	// Environment as KEY=VALUE, beside the few variables that all helpers get.
	Environment []string
	// Processors is how many processors a Go program begins with, as GOMAXPROCS; 0: all.
	// A GOMAXPROCS in the environment of patchbayd comes first. The Go runtime sizes
	// its own tables by that when the program begins.
	Processors int
	// Isolate makes the helper the first process of a PID namespace, so that
	// whatever kills it takes all its processes along, and gives it a mount
	// namespace.
	Isolate bool
	// Lifeline is the end of a pipe to read from, that the helper gets too; nil: none.
	Lifeline *os.File
}

// record is what is kept of a helper, to find it again. A process is known by
// its id and the time of its start: ids are used again.
type record struct {
	PID       int       `json:"pid"`
	StartTime uint64    `json:"startTime"` // in clock ticks since boot, proc_pid_stat(5)
	Binary    string    `json:"binary"`
	StartedAt time.Time `json:"startedAt"`
}

// Start starts a helper. It does not wait until the helper serves: see Ready.
// On an error nothing is left but the directory.
func Start(c Config) (*Process, error) {
	if err := os.MkdirAll(c.Directory, 0o700); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	socket, err := bind(c.Socket)
	if err != nil {
		return nil, startFault(c.Name, err)
	}
	defer socket.Close()
	stderr, err := os.OpenFile(filepath.Join(c.Directory, StderrFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, errors.Join(startFault(c.Name, err), os.Remove(c.Socket))
	}
	defer stderr.Close()

	pidfd := -1
	cmd := &exec.Cmd{
		Path: c.Binary,
		Args: append([]string{c.Name}, c.Args...),
		Env: environment(append(c.Environment,
			fmt.Sprintf("%s=%d", rpc.ListenFDVariable, listenFD), rpc.DirectoryVariable+"="+c.Directory)),
		Dir:        "/",
		Stderr:     stderr,
		ExtraFiles: []*os.File{socket},
		SysProcAttr: &syscall.SysProcAttr{
			Setsid: true, // no signal of a terminal reaches it
			PidFD:  &pidfd,
		},
	}
	if _, ok := os.LookupEnv(processorsVariable); !ok && c.Processors > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", processorsVariable, c.Processors))
	}
	if c.Lifeline != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, c.Lifeline)
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", rpc.LifelineFDVariable, lifelineFD))
	}
	if c.Isolate {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS
	}
	if err := timerslack.Usual(cmd.Start); err != nil {
		return nil, errors.Join(startFault(c.Name, err), os.Remove(c.Socket))
	}
	// Until somebody waits for it, a process that has ended already is there too.
	began, beganErr := startTime(cmd.Process.Pid)
	p, err := newProcess(c.Directory, cmd.Process.Pid, pidfd, true)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.Name, err), cmd.Process.Kill(), cmd.Wait(), os.Remove(c.Socket))
	}
	// It has a pidfd of its own, which would be copied and closed for each program that is started.
	beganErr = errors.Join(beganErr, cmd.Process.Release())
	if err := errors.Join(beganErr, p.save(c.Binary, began)); err != nil {
		p.Kill()
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.Name, err), os.Remove(c.Socket))
	}
	return p, nil
}

// bind returns a listening socket at path. It takes the place of an older one in
// one step, so that who dials again meanwhile finds either.
func bind(path string) (*os.File, error) {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	defer func() { _ = l.Close() }() // the file is a duplicate
	f, err := l.File()
	if err != nil {
		return nil, errors.Join(err, os.Remove(fresh))
	}
	if err := errors.Join(os.Chmod(fresh, 0o600), os.Rename(fresh, path)); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(fresh))
	}
	return f, nil
}

// processorsVariable is how many processors the Go runtime uses.
const processorsVariable = "GOMAXPROCS"

// inherited are the variables that helpers get from patchbayd's environment.
var inherited = []string{"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "GOCOVERDIR", "GODEBUG", "GOTRACEBACK", processorsVariable, "GOGC"}

func environment(own []string) []string {
	var out []string
	for _, key := range inherited {
		if v, ok := os.LookupEnv(key); ok {
			out = append(out, key+"="+v)
		}
	}
	if _, ok := os.LookupEnv("PATH"); !ok {
		out = append(out, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return append(out, own...)
}

// tailLines and tailBytes bound what of a helper's own words goes into an error.
const (
	tailLines = 5
	tailBytes = 2048
)

// tail returns the last lines that a helper wrote, as one line.
func tail(directory string) string {
	f, err := os.Open(filepath.Join(directory, StderrFile))
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	buffer := make([]byte, min(info.Size(), tailBytes))
	n, err := f.ReadAt(buffer, info.Size()-int64(len(buffer)))
	if err != nil && n == 0 {
		return ""
	}
	var lines []string
	for line := range strings.Lines(strings.ToValidUTF8(string(buffer[:n]), "")) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-tailLines):], "; ")
}

func (p *Process) save(binary string, began uint64) error {
	return writeRecord(*p.directory.Load(), record{PID: p.pid, StartTime: began, Binary: binary, StartedAt: time.Now().UTC()})
}

func writeRecord(directory string, r record) error {
	data, err := marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(directory, RecordFile), data, 0o600)
}
