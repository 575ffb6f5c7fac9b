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
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/runtime/vm/lend"
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

// Root ports are for one device each that is plugged in later: so many for network
// devices, and the ones after them.
const (
	ports       = 16
	sharePort   = ports     // for what the host shares
	socketsPort = ports + 1 // for sockets to the host
	allPorts    = ports + 2
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

// Config says what the machine is.
type Config struct {
	Accelerator Accelerator
	MemoryBytes int64
	CPUs        int
	Kernel      *os.File
	Initrd      *os.File
	Console     *os.File // gets what the guest says on its serial port
	Disks       []Disk
	Shares      []Share
	Sockets     *Sockets // nil: the guest cannot connect to the host
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

// arguments is the command line.
func arguments(c Config, files *inherited, qmp, agent *os.File) []string {
	args := []string{
		"-M", "q35,smbus=off,sata=off,usb=off,hpet=off,vmport=off,mem-merge=off,dump-guest-core=off,memory-backend=mem",
		"-object", memoryBackend(c) + fmt.Sprintf(",id=mem,size=%d", c.MemoryBytes), "-m", fmt.Sprintf("%dB", c.MemoryBytes),
		"-accel", c.accelerator(), "-cpu", c.model(), "-smp", strconv.Itoa(c.CPUs),
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-kernel", files.path(c.Kernel), "-initrd", files.path(c.Initrd), "-append", kernelArguments(c),
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", files.add(qmp)), "-mon", "chardev=qmp,mode=control",
		"-device", "virtio-serial-pci,id=serial,max_ports=2",
		"-chardev", fmt.Sprintf("socket,id=agent,fd=%d", files.add(agent)),
		"-device", "virtserialport,bus=serial.0,chardev=agent,name=" + c.Agent,
		"-add-fd", fmt.Sprintf("fd=%d,set=1", files.add(c.Console)),
		"-chardev", "file,id=console,path=/dev/fdset/1,append=on", "-serial", "chardev:console",
		"-device", "virtio-rng-pci", "-device", "pvpanic",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
	}
	for i, d := range c.Disks {
		onOff := "off"
		if d.ReadOnly {
			onOff = "on"
		}
		if d.File == nil {
			args = append(args, "-blockdev", fmt.Sprintf("driver=null-co,node-name=disk%d,read-only=%s,size=%d,read-zeroes=on", i, onOff, d.Size))
		} else {
			args = append(args,
				"-add-fd", fmt.Sprintf("fd=%d,set=%d", files.add(d.File), 2+i),
				"-blockdev", fmt.Sprintf("driver=raw,node-name=disk%d,read-only=%s,discard=unmap,file.driver=file,file.filename=/dev/fdset/%d", i, onOff, 2+i))
		}
		args = append(args,
			"-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d,serial=%s", i, d.Serial))
	}
	for i, s := range c.Shares {
		args = append(args,
			"-chardev", fmt.Sprintf("socket,id=share%d,fd=%d", i, files.add(s.Socket)),
			"-device", fmt.Sprintf("vhost-user-fs-pci,chardev=share%d,tag=%s", i, s.Tag))
	}
	if c.Sockets != nil && c.Saved == nil { // else it is plugged in
		args = append(args, "-device", fmt.Sprintf("vhost-vsock-pci,guest-cid=%d,vhostfd=%d", c.Sockets.CID, files.add(c.Sockets.File)))
	}
	for i := range allPorts {
		args = append(args, "-device", fmt.Sprintf("pcie-root-port,id=port%d,chassis=0,slot=%d,bus=pcie.0,io-reserve=0", i, i+1))
	}
	if c.Saved != nil {
		args = append(args, "-incoming", "defer")
	}
	return args
}

// accelerator is the option -accel.
func (c Config) accelerator() string {
	if c.Accelerator == TCG {
		return fmt.Sprintf("tcg,tb-size=%d", TranslationBytes>>20)
	}
	return string(c.Accelerator)
}

// model is all that the processors, or their emulation, can do.
func (c Config) model() string {
	if c.Accelerator == TCG {
		return "max"
	}
	return "host"
}

// memoryBackend is the kind of object that the guest's memory is.
func memoryBackend(c Config) string {
	switch {
	case c.Saved != nil && !c.Shared:
		return "memory-backend-file,mem-path=" + memoryPath + ",share=off"
	case c.Memory != nil:
		return "memory-backend-file,mem-path=" + memoryPath + ",share=on"
	case len(c.Shares) > 0: // the daemon that serves them looks into it
		return "memory-backend-memfd,share=on"
	}
	return "memory-backend-ram"
}

// kernelArguments make the guest boot fast and end with its first panic
// (Documentation/admin-guide/kernel-parameters.txt).
func kernelArguments(c Config) string {
	args := "console=ttyS0 quiet loglevel=1 panic=-1 reboot=t cryptomgr.notests no_timer_check random.trust_cpu=on 8250.nr_uarts=1 i8042.noaux i8042.nokbd"
	if c.Accelerator == TCG {
		args += " mitigations=off nokaslr" // nothing runs at full speed, and nobody's secrets are near
	}
	if c.KernelArguments != "" {
		args += " " + c.KernelArguments
	}
	return args
}

// inherited are the files that the process gets, from descriptor 3 on.
type inherited struct{ all []*os.File }

func (i *inherited) add(f *os.File) int {
	i.all = append(i.all, f)
	return 2 + len(i.all)
}

func (i *inherited) path(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", i.add(f)) }

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
