package runtimehelper

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/helper"
)

// origin is what a helper on standby was started from. While that holds, the
// helper is what a new one would be.
type origin struct {
	binary  string
	version syscall.Stat_t
	// table is a descriptor of this process's mounts, opened before the helper got its
	// copy. It is nobody else's: the event of a change is told once, to who polls it.
	table  int
	before mounts
}

// mounts is what is mounted where. A mount that is there twice counts once.
type mounts map[string]bool

// originOf is called before the start of the binary.
func originOf(binary string) (o origin, err error) {
	o.binary = binary
	if err := syscall.Stat(binary, &o.version); err != nil {
		return o, fmt.Errorf("%s: %w", binary, err)
	}
	if o.table, err = unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return o, fmt.Errorf("open /proc/self/mountinfo: %w", err)
	}
	if o.before, err = mountsOf("self"); err != nil {
		return o, errors.Join(err, unix.Close(o.table))
	}
	return o, nil
}

func (o origin) close() {
	if o.before != nil {
		_ = unix.Close(o.table)
	}
}

// holds reports whether the process lives, its program is the one that is
// installed now, and it sees what is mounted now.
func (o origin) holds(p *helper.Process) bool {
	select {
	case <-p.Done():
		return false
	default:
	}
	return o.current() && o.seesMounts(p.PID())
}

// current reports whether the binary is the one that was started. The time of its
// last change tells one that was written in place.
func (o origin) current() bool {
	var now syscall.Stat_t
	if err := syscall.Stat(o.binary, &now); err != nil {
		return false
	}
	was := o.version
	return now.Dev == was.Dev && now.Ino == was.Ino && now.Size == was.Size && now.Mtim == was.Mtim && now.Ctim == was.Ctim
}

// seesMounts reports whether what has been mounted and unmounted since the helper
// was started has reached its mount namespace too. Where mounts are shared, as
// systemd makes them, it has.
func (o origin) seesMounts(pid int) bool {
	// The kernel tells that the table has changed since it was opened: poll(2) on
	// /proc/PID/mountinfo, proc(5).
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(o.table), Events: unix.POLLPRI}}, 0)
	if err == nil && n == 0 {
		return true
	}
	ours, err := mountsOf("self")
	if err != nil {
		return false
	}
	theirs, err := mountsOf(fmt.Sprint(pid))
	if err != nil {
		return false
	}
	return follows(o.before, ours, theirs)
}

// follows reports whether the changes of our mounts are in theirs.
func follows(before, ours, theirs mounts) bool {
	for m := range ours {
		if !before[m] && !theirs[m] {
			return false
		}
	}
	for m := range before {
		if !ours[m] && theirs[m] {
			return false
		}
	}
	return true
}

func mountsOf(pid string) (mounts, error) {
	f, err := os.Open("/proc/" + pid + "/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := mountinfo.GetMountsFromReader(f, nil)
	if err != nil {
		return nil, err
	}
	out := make(mounts, len(all))
	for _, m := range all {
		out[fmt.Sprintf("%d:%d %s %s %s", m.Major, m.Minor, m.Root, m.Mountpoint, m.Options)] = true
	}
	return out, nil
}
