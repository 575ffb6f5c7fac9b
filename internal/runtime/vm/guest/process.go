package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/yamux"
	"golang.org/x/sys/unix"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/runtime/oci/rootfs"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
)

// process is a process of the container.
type process struct {
	id       string
	cmd      *exec.Cmd
	terminal *os.File // our end; nil: none
	gate     *os.File // lets the command begin; nil: it has
	report   *os.File
	outputs  []*output

	done chan struct{} // closed when code is set
	code int
}

// launch is what a process is started with.
type launch struct {
	id       string
	stage    stage
	terminal bool
	stdin    bool
	streams  bool // it has standard streams
	// namespace is a pidfd of a process whose PID namespace it joins; 0: it gets
	// one of its own.
	namespace int
}

// start starts a process up to its gate, or up to its command where it has none.
func start(session *yamux.Session, l launch) (p *process, err error) {
	p = &process{id: l.id, done: make(chan struct{})}
	files := &pipes{}
	defer files.closeTheirs()
	defer func() {
		if err != nil {
			files.closeOurs()
		}
	}()
	if err := files.open(l); err != nil {
		return nil, err
	}
	group, err := os.Open(groupDir)
	if err != nil {
		return nil, err
	}
	defer group.Close()
	p.cmd = &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{"patchbay-guest", StageVerb},
		Stdin:      files.theirs[0],
		Stdout:     files.theirs[1],
		Stderr:     files.theirs[2],
		ExtraFiles: files.theirs[3:],
		SysProcAttr: &syscall.SysProcAttr{
			Setsid: true, Setctty: l.terminal, Ctty: 0,
			UseCgroupFD: true, CgroupFD: int(group.Fd()),
		},
	}
	p.terminal, p.gate, p.report = files.terminal, files.gate, files.report
	if err := startIn(p.cmd, l.namespace); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	files.closeTheirs()
	err = p.tell(files.config, l.stage)
	if err == nil {
		err = p.awaitStage(l)
	}
	if err == nil {
		err = p.connect(session, l, files)
	}
	if err != nil {
		_ = p.cmd.Process.Kill() // has ended already, else it ends now
		_ = p.cmd.Wait()
		return nil, err
	}
	go p.wait()
	return p, nil
}

// startIn starts a command as the first process of a PID namespace of its own, or
// in that of a process. The thread that has joined it is not used again.
func startIn(cmd *exec.Cmd, namespace int) error {
	if namespace == 0 {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID
		return cmd.Start()
	}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(namespace, unix.CLONE_NEWPID); err != nil {
			started <- fmt.Errorf("join the container: %w", err)
			return
		}
		started <- cmd.Start()
	}()
	return <-started
}

func (p *process) tell(config *os.File, s stage) error {
	defer config.Close()
	return json.NewEncoder(config).Encode(s)
}

// awaitStage waits until the process is at its gate or has begun with its command.
func (p *process) awaitStage(l launch) error {
	if l.stage.Gate {
		said := make([]byte, len(stageReady))
		n, err := io.ReadFull(p.report, said)
		if err == nil && string(said) == stageReady {
			return nil
		}
		rest, _ := io.ReadAll(p.report)
		return stageError(l, string(said[:n])+string(rest))
	}
	said, err := io.ReadAll(p.report)
	p.report.Close()
	if err != nil {
		return err
	}
	if len(said) > 0 {
		return stageError(l, string(said))
	}
	return nil
}

// stageError gives what a stage says its kind.
func stageError(l launch, text string) error {
	command := l.stage.Process.Args[0]
	switch {
	case text == "":
		return fmt.Errorf("process: ended before its command: %w", errdefs.ErrInternal)
	case !strings.HasPrefix(text, "exec: "):
		return fmt.Errorf("process: %s: %w", text, errdefs.ErrInvalidArgument)
	case strings.Contains(text, unix.ENOEXEC.Error()):
		_, reason, _ := strings.Cut(text, unix.ENOEXEC.Error()+": ")
		return rootfs.NotExecutable(command, reason)
	case strings.Contains(text, "permission denied"):
		return rootfs.NotExecutable(command, strings.TrimSpace(text[strings.LastIndexByte(text, ':')+1:]))
	}
	return rootfs.NotFound(command)
}

// begin lets the main process begin with its command.
func (p *process) begin(l launch) error {
	_, err := p.gate.Write([]byte{1})
	if err = errors.Join(err, p.gate.Close()); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	l.stage.Gate = false
	return p.awaitStage(l)
}

// connect joins the standard streams with streams of the session.
func (p *process) connect(session *yamux.Session, l launch, files *pipes) error {
	if !l.streams {
		return nil
	}
	open := func(kind guestv1.StreamKind) (*yamux.Stream, error) { return openStream(session, p.id, kind) }
	out, err := open(guestv1.StreamKind_STREAM_KIND_STDOUT)
	if err != nil {
		return err
	}
	if l.terminal {
		go func() { _, _ = io.Copy(p.terminal, out) }()
		p.outputs = append(p.outputs, passOn(out, p.terminal))
		return nil
	}
	p.outputs = append(p.outputs, passOn(out, files.stdout))
	errors, err := open(guestv1.StreamKind_STREAM_KIND_STDERR)
	if err != nil {
		return err
	}
	p.outputs = append(p.outputs, passOn(errors, files.stderr))
	if !l.stdin {
		return nil
	}
	in, err := open(guestv1.StreamKind_STREAM_KIND_STDIN)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(files.stdin, in)
		files.stdin.Close()
		_ = in.Close() // the host may be gone
	}()
	return nil
}

// openStream opens a stream to the host.
func openStream(session *yamux.Session, id string, kind guestv1.StreamKind) (*yamux.Stream, error) {
	s, err := session.OpenStream()
	if err != nil {
		return nil, err
	}
	return s, channel.WriteHeader(s, &guestv1.StreamHeader{ProcessId: id, Kind: kind})
}

// wait has done closed when the host has been sent all that the process has written: it takes what
// has come for complete when it hears of the end.
func (p *process) wait() {
	err := p.cmd.Wait()
	for _, o := range p.outputs {
		o.settle()
	}
	p.code = exitCode(p.cmd.ProcessState, err)
	close(p.done)
}

func exitCode(state *os.ProcessState, err error) int {
	if state == nil {
		return 255
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || err != nil && state.Success() {
		return 255
	}
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		if errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("process %s: has ended: %w", p.id, errdefs.ErrNotFound)
		}
		return err
	}
	return nil
}

func (p *process) resize(width, height uint32) error {
	if p.terminal == nil {
		return fmt.Errorf("process %s: has no terminal: %w", p.id, errdefs.ErrFailedPrecondition)
	}
	return unix.IoctlSetWinsize(int(p.terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
}

// openTerminal opens a terminal of the container (pts(4)).
func openTerminal() (ours, theirs *os.File, err error) {
	fd, err := unix.Open(filepath.Join(newRoot, "dev/pts/ptmx"), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("terminal: %w", err)
	}
	ours = os.NewFile(uintptr(fd), "terminal")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("terminal: %w", err), ours.Close())
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, nil, errors.Join(fmt.Errorf("terminal: %w", errno), ours.Close())
	}
	return ours, os.NewFile(peer, "terminal"), nil
}

// pipes are both ends of the files between a process and the agent.
type pipes struct {
	theirs []*os.File // in the order of the process's file descriptors

	stdin, stdout, stderr *os.File
	terminal              *os.File
	config, report, gate  *os.File
}

func (f *pipes) open(l launch) error {
	if err := f.openStandard(l); err != nil {
		return err
	}
	for _, end := range []struct {
		ours  **os.File
		write bool // we write
	}{{&f.config, true}, {&f.report, false}, {&f.gate, true}} {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		theirs := r
		*end.ours = w
		if !end.write {
			theirs, *end.ours = w, r
		}
		f.theirs = append(f.theirs, theirs)
	}
	return nil
}

func (f *pipes) openStandard(l launch) error {
	if l.terminal {
		ours, theirs, err := openTerminal()
		if err != nil {
			return err
		}
		f.terminal, f.theirs = ours, []*os.File{theirs, theirs, theirs}
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	f.theirs = []*os.File{null, null, null}
	if !l.streams {
		return nil
	}
	if l.stdin {
		if f.theirs[0], f.stdin, err = os.Pipe(); err != nil {
			return err
		}
	}
	if f.stdout, f.theirs[1], err = os.Pipe(); err != nil {
		return err
	}
	f.stderr, f.theirs[2], err = os.Pipe()
	return err
}

func (f *pipes) closeTheirs() {
	for _, file := range f.theirs {
		file.Close() // the same one can be there more than once
	}
	f.theirs = nil
}

func (f *pipes) closeOurs() {
	for _, file := range []*os.File{f.stdin, f.stdout, f.stderr, f.terminal, f.config, f.report, f.gate} {
		if file != nil {
			file.Close()
		}
	}
}
