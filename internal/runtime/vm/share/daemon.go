package share

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/revert"
)

// maxOpen is how many files the daemon can keep open: each one that the guest's kernel
// remembers is, opened or not. A guest that asks for more gets EMFILE.
const maxOpen = 1 << 18

// Memory is how much the daemon can take of the host, with what the kernel keeps of
// open files: an inode, a directory entry and a description each (1.1 kB of ext4,
// 192 and 232 bytes), and 200 bytes of the daemon's own.
const Memory = 64<<20 + maxOpen*1792

// Server serves a tree to one machine.
type Server struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	done   chan struct{} // closed when the process has ended
}

// Serve starts a daemon for the tree at dir. The file is the end of its
// connection that the machine gets, as a vhost-user back end; socket is a path
// for the moment in which the connection is made; start starts the daemon within
// what it may take of the host.
//
// The daemon is root, for it makes files for all users of the guest, but has a
// PID, mount and network namespace of its own with the tree as its root, a system
// call filter, and of the capabilities those alone that change what others own.
// It cannot make device nodes.
func (p Program) Serve(dir, socket string, start func(*exec.Cmd) error) (s *Server, machine *os.File, err error) {
	var undo revert.Stack
	defer undo.Run(&err)
	listener, err := listen(socket)
	if err != nil {
		return nil, nil, fmt.Errorf("virtiofsd: %w", err)
	}
	defer listener.Close()
	if machine, err = dial(socket); err != nil {
		return nil, nil, fmt.Errorf("virtiofsd: %w", err)
	}
	undo.Add(machine.Close)
	if err := os.Remove(socket); err != nil { // nobody else connects
		return nil, nil, fmt.Errorf("virtiofsd: %w", err)
	}
	s = &Server{done: make(chan struct{})}
	s.cmd = &exec.Cmd{
		Path: p.Path, Args: append([]string{p.Path}, p.arguments(dir, 3, openFiles())...), Env: []string{}, Dir: "/",
		Stderr: &s.stderr, ExtraFiles: []*os.File{listener},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, // it has a child; both are ended as a group
	}
	if err := start(s.cmd); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", p.Path, err)
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
	undo.Success()
	return s, machine, nil
}

// openFiles is maxOpen, or less where this process may not have so many: a daemon
// that cannot have what it is told to does not start.
func openFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &limit); err != nil || limit.Max >= maxOpen {
		return maxOpen
	}
	raised := unix.Rlimit{Cur: limit.Cur, Max: maxOpen}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &raised, nil); err != nil {
		return limit.Max
	}
	return maxOpen
}

func listen(path string) (*os.File, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }() // its copy lives on
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return f, nil
}

func dial(path string) (*os.File, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	defer func() { _ = c.Close() }() // its copy lives on
	return c.File()
}

// Done is closed when the daemon has ended, as it does with its machine.
func (s *Server) Done() <-chan struct{} { return s.done }

// Reason is how the daemon ended and what it has said, after Done.
func (s *Server) Reason() string {
	<-s.done
	text := "virtiofsd has ended: " + s.cmd.ProcessState.String()
	if said := strings.TrimSpace(s.stderr.String()); said != "" {
		text += ": " + strings.ReplaceAll(said, "\n", "; ")
	}
	return text
}

// PID is the number of the process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the daemon and returns when it is gone.
func (s *Server) Kill() {
	_ = unix.Kill(-s.PID(), unix.SIGKILL) // gone already, else it goes now
	<-s.done
}

// Program is a virtiofs daemon of the host.
type Program struct {
	Path    string
	Version string // as it tells it
	// Separate says that each option is one of its own: the daemon of the
	// virtiofs project since 1.0. Else all are words of -o: that of QEMU until 7.2.
	Separate bool
}

// programs are where distributions have it: Debian 13 and Fedora, Arch, Debian 12.
var programs = []string{"/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd"}

// Find finds the host's virtiofs daemon; without one it is
// errdefs.ErrFailedPrecondition.
func Find(ctx context.Context) (Program, error) {
	candidates := programs
	if path, err := exec.LookPath("virtiofsd"); err == nil {
		candidates = append([]string{path}, programs...)
	}
	return find(ctx, candidates)
}

func find(ctx context.Context, candidates []string) (Program, error) {
	var faults []error
	for _, path := range candidates {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		version, err := exec.CommandContext(ctx, path, "--version").Output()
		if err != nil {
			faults = append(faults, fmt.Errorf("%s --version: %w", path, err))
			continue
		}
		return identify(path, string(version)), nil
	}
	if len(faults) > 0 {
		return Program{}, fmt.Errorf("virtiofsd: none works: %w: %w", errdefs.ErrFailedPrecondition, errors.Join(faults...))
	}
	return Program{}, fmt.Errorf("virtiofsd is not installed (Debian 12: qemu-system-common, later: virtiofsd): %w", errdefs.ErrFailedPrecondition)
}

// identify tells the two daemons apart: "virtiofsd version 7.2.22 (Debian ...)" and
// "virtiofsd 1.13.0".
func identify(path, version string) Program {
	first, _, _ := strings.Cut(strings.TrimSpace(version), "\n")
	return Program{Path: path, Version: first, Separate: !strings.HasPrefix(first, "virtiofsd version ")}
}

// arguments serve the tree at dir by a listening descriptor. What is cached in the
// guest is at most a second behind the host. Locks are the guest's own: the older
// daemon would stand still while one waits, the newer has none. Files that the
// guest remembers are kept open, which takes descriptors; handles would not, but
// whoever may open by handles opens any file of the file system.
func (p Program) arguments(dir string, fd int, files uint64) []string {
	if p.Separate {
		return []string{
			fmt.Sprintf("--fd=%d", fd), "--shared-dir=" + dir, fmt.Sprintf("--rlimit-nofile=%d", files),
			"--sandbox=namespace", "--seccomp=kill", "--modcaps=-mknod", "--inode-file-handles=never",
			"--cache=auto", "--announce-submounts", "--xattr", "--log-level=error",
		}
	}
	return []string{
		fmt.Sprintf("--fd=%d", fd), fmt.Sprintf("--rlimit-nofile=%d", files), "-f", "-o", "source=" + escape(dir),
		"-o", "sandbox=namespace,modcaps=-mknod,cache=auto,announce_submounts,xattr,log_level=err",
	}
}

// escape marks the characters that separate words of -o.
func escape(s string) string { return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(s) }
