// Package lend starts a program that opens a file for reading and writing and
// gets one of our choice, opened as we like.
//
// The memory of a template is read by all machines that are made from it and may
// be written by none, whatever has become of it: QEMU maps it privately, but first
// opens it for writing too. So the file stays out of its reach, and its one attempt
// to open it is answered with a descriptor that is good for reading alone
// (seccomp_unotify(2)).
package lend

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"github.com/containerd/errdefs"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Start has start start a command, from the calling thread. When it, or what it executes, opens path for reading and
// writing with openat(2) it gets file as it is; all else that it opens is up to the
// kernel. It can no longer gain privileges by executing a program.
//
// It must be called from a goroutine that is locked to its thread: the thread is
// then fit for nothing else, and should end with its goroutine. Where the kernel
// does not allow for such a thing it is errdefs.ErrNotImplemented.
func Start(cmd *exec.Cmd, path string, file *os.File, start func(*exec.Cmd) error) error {
	listener, err := listen()
	if err != nil {
		return fmt.Errorf("answer opens of %s: %w: %w", path, errdefs.ErrNotImplemented, err)
	}
	// A descriptor of our own: the caller may close the file when we return, and
	// the program may not have opened it yet.
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	l := loan{listener: listener, path: path, file: os.NewFile(uintptr(fd), path)}
	go l.serve() // ends with the command, and this thread
	return start(cmd)
}

// openat's number of the argument that holds the path, and where in struct
// seccomp_data (linux/seccomp.h) things are.
const (
	pathArgument = 1
	offsetNumber = 0
	offsetArch   = 4
	offsetFlags  = 16 + 2*8 // of the third argument, low half first
)

var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// filter stops at openat with O_RDWR.
func filter() ([]bpf.RawInstruction, error) {
	arch, ok := architectures[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("architecture %s is not known", runtime.GOARCH)
	}
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: arch, SkipTrue: 6},
		bpf.LoadAbsolute{Off: offsetNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_OPENAT, SkipTrue: 4},
		bpf.LoadAbsolute{Off: offsetFlags, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: unix.O_ACCMODE},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.O_RDWR, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	})
}

// listen puts the calling thread, and what it starts, under the filter.
func listen() (*os.File, error) {
	raw, err := filter()
	if err != nil {
		return nil, err
	}
	program := unix.SockFprog{Len: uint16(len(raw)), Filter: (*unix.SockFilter)(unsafe.Pointer(&raw[0]))}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("no new privileges: %w", err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return nil, fmt.Errorf("seccomp: %w", errno)
	}
	return os.NewFile(fd, "seccomp"), nil
}

// loan answers the opens of one program.
type loan struct {
	listener *os.File
	path     string
	file     *os.File // nil when it has been given
}

func (l *loan) close() error {
	err := l.listener.Close()
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	return err
}

// serve answers until nobody is under the filter any more.
func (l *loan) serve() {
	defer func() { _ = l.close() }()
	for {
		fds := []unix.PollFd{{Fd: int32(l.listener.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		switch {
		case fds[0].Revents&unix.POLLIN != 0:
			if err := l.answer(); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINTR) {
				return // whoever opens from now on gets ENOSYS
			}
		case fds[0].Revents != 0:
			return
		}
	}
}

// The messages of seccomp_unotify(2): struct seccomp_notif, seccomp_notif_resp and
// seccomp_notif_addfd of linux/seccomp.h.
type (
	notice struct {
		id    uint64
		pid   uint32
		flags uint32
		nr    int32
		arch  uint32
		ip    uint64
		args  [6]uint64
	}
	response struct {
		id    uint64
		value int64
		errno int32
		flags uint32
	}
	addition struct {
		id       uint64
		flags    uint32
		source   uint32
		target   uint32
		newFlags uint32
	}
)

const (
	ioctlAddFD   = 0x40182103 // SECCOMP_IOCTL_NOTIF_ADDFD: _IOW('!', 3, struct seccomp_notif_addfd)
	flagContinue = 1          // SECCOMP_USER_NOTIF_FLAG_CONTINUE
)

// answer answers one open: with the file, once, if it is the one; else the kernel
// goes on with it. ENOENT: whoever asked is gone.
func (l *loan) answer() error {
	var n notice
	if err := l.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); err != nil {
		return err
	}
	if l.file == nil || !l.means(n) {
		r := response{id: n.id, flags: flagContinue}
		return l.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
	}
	// Two calls, not the one that SECCOMP_ADDFD_FLAG_SEND would do: a signal that comes in
	// the middle of that takes the descriptor back and leaves the answer, so that openat
	// returns 0. Between two calls whoever asked may be interrupted: it asks again, and
	// is given the file again.
	a := addition{id: n.id, source: uint32(l.file.Fd()), newFlags: unix.O_CLOEXEC}
	fd, err := l.call(ioctlAddFD, unsafe.Pointer(&a))
	if err != nil {
		return err
	}
	r := response{id: n.id, value: int64(fd)}
	if err := l.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)); err != nil {
		return err
	}
	err = l.file.Close()
	l.file = nil
	return err
}

// means says whether what a thread opens is the path.
func (l *loan) means(n notice) bool {
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", n.pid))
	if err != nil {
		return false
	}
	defer memory.Close()
	got := make([]byte, len(l.path)+1)
	_, err = memory.ReadAt(got, int64(n.args[pathArgument]))
	return err == nil && string(got) == l.path+"\x00"
}

func (l *loan) ioctl(request uintptr, argument unsafe.Pointer) error {
	_, err := l.call(request, argument)
	return err
}

func (l *loan) call(request uintptr, argument unsafe.Pointer) (result int, err error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, l.listener.Fd(), request, uintptr(argument))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
