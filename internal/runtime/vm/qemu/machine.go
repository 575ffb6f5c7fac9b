// Package qemu runs a virtual machine as one QEMU process: a user of its own
// without privileges, a system call filter, no network, and files only by
// descriptors that it is given.
package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/runtime/vm/lend"
	"patchbay.dev/patchbay/resource"
)

// Binary is the name of the program.
const Binary = "qemu-system-x86_64"

// Accelerator is what executes the guest's instructions.
type Accelerator string

// The accelerators.
const (
	KVM Accelerator = "kvm"
	TCG Accelerator = "tcg" // emulation in software
)

// TranslationBytes is how much memory emulation in software takes for translated
// instructions, at most.
const TranslationBytes = 128 << 20

// memoryPath is by what the process opens Config.Memory; nothing is there.
const memoryPath = "/nowhere/memory"

// MaxNetworks is how many network devices a machine can have.
const MaxNetworks = 16

// Root ports are for one device each that is plugged in later: those of network devices
// come first.
const (
	sharePort   = MaxNetworks     // for what the host shares
	socketsPort = MaxNetworks + 1 // for sockets to the host
	allPorts    = MaxNetworks + 2
)

// Disk is a block device of the guest.
type Disk struct {
	File     *os.File // nil: nothing, all zeroes, of Size
	Size     int64    // in bytes; of no account with a File
	Serial   string   // by which the guest knows it
	ReadOnly bool
}

// Share is a directory that a virtiofs daemon serves.
type Share struct {
	Tag    string   // by which the guest knows it
	Socket *os.File // connected to it
}

// Sockets is the guest's device for sockets between it and the host (vsock(7)).
type Sockets struct {
	CID  uint32   // the guest's
	File *os.File // the kernel's end, which has the CID
}

// Network is a network device that the machine has from its start on.
type Network struct {
	ID     string // of letters and digits
	Frames Frames
	MAC    resource.MACAddress
}

// Config says what the machine is.
type Config struct {
	// MicroVM is that the machine has no PCI: it has no devices but those of this
	// configuration, of which there can be 24, and it cannot be saved. It boots faster.
	MicroVM     bool
	Accelerator Accelerator
	MemoryBytes int64
	CPUs        int
	Kernel      *os.File
	Initrd      *os.File
	Console     *os.File // gets what the guest says on its serial port
	Disks       []Disk
	Shares      []Share
	Sockets     *Sockets // nil: the guest cannot connect to the host
	Networks    []Network
	// KernelArguments are further words of the kernel's command line.
	KernelArguments string
	// Agent is the name of the virtio-serial port that leads to the agent.
	Agent string
	// User is the id of the process's user and group, who own nothing.
	User uint32
	// Start starts the process from the calling thread, which is locked and not this
	// process's first, within what it may take of the host.
	Start func(*exec.Cmd) error
	// Memory is a file of MemoryBytes that is the guest's memory; nil: memory of the
	// process's own.
	Memory *os.File
	// Saved is what Save has written of a machine of the same Class whose memory is
	// in Memory: this one goes on from there, and Memory stays as it is, unless it is
	// Shared. nil: the machine boots.
	Saved []byte
	// Shared is that the machine's memory is Memory itself, as PlugShare needs it.
	Shared bool
}

// Machine is a running QEMU process.
type Machine struct {
	cmd     *exec.Cmd
	monitor *monitor
	agent   net.Conn
	done    chan struct{} // closed when the process has ended
	stderr  *bytes.Buffer // complete when done is closed
	killed  atomic.Bool
}

// Start starts a machine. It is ready to be talked to; the guest is just booting, or
// goes on from where it was saved.
func Start(ctx context.Context, c Config) (m *Machine, err error) {
	path, err := exec.LookPath(Binary)
	if err != nil {
		return nil, fmt.Errorf("%s is not installed (Debian: qemu-system-x86): %w", Binary, errdefs.ErrFailedPrecondition)
	}
	var undo revert.Stack
	defer undo.Run(&err)
	qmp, theirQMP, err := socketPair()
	if err != nil {
		return nil, err
	}
	undo.Add(func() error { _ = qmp.Close(); return nil }) // the monitor may have
	defer theirQMP.Close()
	agent, theirAgent, err := socketPair()
	if err != nil {
		return nil, err
	}
	undo.Add(func() error { _ = agent.Close(); return nil }) // Kill may have
	defer theirAgent.Close()

	m = &Machine{agent: agent, done: make(chan struct{}), stderr: new(bytes.Buffer)}
	files := &inherited{}
	m.cmd = &exec.Cmd{
		Path:   path,
		Args:   append([]string{Binary}, arguments(c, files, theirQMP, theirAgent)...),
		Env:    []string{},
		Dir:    "/",
		Stderr: m.stderr,
		SysProcAttr: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: c.User, Gid: c.User},
			Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
			Setsid:     true,
			Pdeathsig:  syscall.SIGKILL,
		},
	}
	m.cmd.ExtraFiles = files.all
	started := m // whatever is returned
	if err := started.start(c); err != nil {
		return nil, fmt.Errorf("start %s: %w", Binary, err)
	}
	undo.Add(func() error { started.Kill(); return nil })
	theirQMP.Close() // so that the end of the process is the end of the stream
	if m.monitor, err = openMonitor(ctx, qmp); err != nil {
		return nil, m.explain(err)
	}
	if c.Saved != nil {
		if err := m.restore(ctx, c.Saved); err != nil {
			return nil, m.explain(err)
		}
		if c.Sockets != nil {
			if err := m.plugSockets(ctx, *c.Sockets); err != nil {
				return nil, m.explain(err)
			}
		}
	}
	undo.Success()
	return m, nil
}

// start starts the process. It ends with the thread that has started it, which so
// has to last (prctl(2), PR_SET_PDEATHSIG).
func (m *Machine) start(c Config) error {
	started := make(chan error)
	go m.run(c, started)
	return <-started
}

// run is the life of the process, on a thread of its own.
func (m *Machine) run(c Config, started chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if unix.Gettid() == os.Getpid() {
		// The first one cannot end, and is what the kernel takes for all of the process.
		// Held here, it is not what the next goroutine gets.
		elsewhere := make(chan error)
		go m.run(c, elsewhere)
		started <- <-elsewhere
		runtime.UnlockOSThread()
		return
	}
	var err error
	if c.Memory == nil {
		err = c.Start(m.cmd)
	} else {
		err = lend.Start(m.cmd, memoryPath, c.Memory, c.Start)
	}
	started <- err
	if err == nil {
		_ = m.cmd.Wait()
		close(m.done)
	}
}

// explain prefers the process's own words for why it does not answer.
func (m *Machine) explain(err error) error {
	if !errdefs.IsUnavailable(err) {
		return err
	}
	m.Kill()
	if said := m.lastWords(); said != "" {
		return fmt.Errorf("%s: %s: %w", Binary, said, errdefs.ErrFailedPrecondition)
	}
	return err
}

// lastWords is the last line that the process has said, after done.
func (m *Machine) lastWords() string {
	said := strings.TrimSpace(m.stderr.String())
	return strings.TrimPrefix(said[strings.LastIndexByte(said, '\n')+1:], Binary+": ")
}

// socketPair returns our end of a connection and the file of theirs.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil
}

// Agent is the connection to the virtio-serial port.
func (m *Machine) Agent() net.Conn { return m.agent }

// Gone says whether the process has ended or is about to: it has let go of the agent,
// and thus of all files that it was given earlier than those that it still has.
func (m *Machine) Gone() bool {
	raw, err := m.agent.(*net.UnixConn).SyscallConn()
	if err != nil {
		return true // Kill has closed it
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(fds, 0)
		gone = err == nil && n > 0
	})
	return gone || err != nil
}

// PID is the number of the process.
func (m *Machine) PID() int { return m.cmd.Process.Pid }

// ProcessorTime is how much the process has had of a processor; 0 when it has ended.
func (m *Machine) ProcessorTime() time.Duration {
	const ofProcess = 2 // CPUCLOCK_SCHED, of all threads (clock_getcpuclockid(3))
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^m.PID()<<3|ofProcess), &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// Done is closed when the process has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Reason is why the machine went down, as far as it or its process has said: ""
// while it runs and after Kill.
func (m *Machine) Reason() string {
	select {
	case <-m.done:
		<-m.monitor.done // what it said last has been read
	default:
		return m.monitor.reason()
	}
	if said := m.monitor.reason(); said != "" || m.cmd.ProcessState.Success() || m.killed.Load() {
		return said
	}
	text := Binary + " has ended: " + m.cmd.ProcessState.String()
	if said := m.lastWords(); said != "" {
		text += ": " + said
	}
	return text
}

// Kill ends the process and returns when it is gone.
func (m *Machine) Kill() {
	select {
	case <-m.done: // how it ended stays known
	default:
		m.killed.Store(true)
	}
	_ = m.cmd.Process.Kill() // gone already, else it goes now
	<-m.done
	m.agent.Close()
}
