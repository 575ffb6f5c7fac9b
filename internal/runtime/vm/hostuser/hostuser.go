// Package hostuser lends user ids to the processes of virtual machines: to each one
// that nobody else on the host has, so that none of them can touch another.
package hostuser

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// Pool is what ids are lent from.
type Pool struct {
	Range resource.UserRange
	// Locks is a file that those who share the pool have in common: a lock on byte N
	// holds the id N. It is made if it is not there.
	Locks string
	// Accounts are files in the form of passwd(5) and subuid(5), whose ids are not
	// lent. They need not be there.
	Accounts, Subordinates string
	// Busy returns the ids that processes of the host have now. It keeps those apart
	// who do not share Locks.
	Busy func() (map[uint32]bool, error)
}

// User is an id that is lent.
type User struct {
	ID    uint32
	locks *os.File
}

// Lend lends an id until Close or the end of this process, whichever way it ends.
// Where all are in use it is errdefs.ErrResourceExhausted.
func (p Pool) Lend() (*User, error) {
	reserved, err := p.reserved()
	if err != nil {
		return nil, err
	}
	busy, err := p.Busy()
	if err != nil {
		return nil, fmt.Errorf("users of processes: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(p.Locks), 0o755); err != nil {
		return nil, err
	}
	locks, err := os.OpenFile(p.Locks, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	size := p.Range.Size()
	begin := rand.IntN(size) // those who do not share the locks seldom meet
	for i := range size {
		id := p.Range.First + uint32((begin+i)%size)
		if busy[id] || reserved.has(id) {
			continue
		}
		err := lock(locks, id)
		if err == nil {
			return &User{ID: id, locks: locks}, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			return nil, errors.Join(fmt.Errorf("%s: lock: %w", p.Locks, err), locks.Close())
		}
	}
	return nil, errors.Join(fmt.Errorf("user ids %v: all are in use: widen vm.user-ids in the configuration: %w", p.Range, errdefs.ErrResourceExhausted), locks.Close())
}

// lock takes a byte for the open file itself (fcntl(2), open file description locks).
func lock(f *os.File, id uint32) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET, Start: int64(id), Len: 1})
}

// Close gives the id back.
func (u *User) Close() error { return u.locks.Close() }

// ranges are ids that have an owner.
type ranges []resource.UserRange

func (r ranges) has(id uint32) bool {
	for _, taken := range r {
		if taken.First <= id && id <= taken.Last {
			return true
		}
	}
	return false
}

func (p Pool) reserved() (ranges, error) {
	accounts, err := read(p.Accounts, 2, func([]string) uint64 { return 1 })
	if err != nil {
		return nil, err
	}
	subordinates, err := read(p.Subordinates, 1, func(fields []string) uint64 {
		count, _ := strconv.ParseUint(fields[2], 10, 32) // what makes no sense reserves nothing
		return count
	})
	return append(accounts, subordinates...), err
}

// read takes the ids out of a file with a line of fields for each range.
func read(path string, first int, count func([]string) uint64) (ranges, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out ranges
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 3 {
			continue
		}
		id, err := strconv.ParseUint(fields[first], 10, 32)
		if n := count(fields); err == nil && n > 0 {
			out = append(out, resource.UserRange{First: uint32(id), Last: uint32(min(id+n, 1<<32) - 1)})
		}
	}
	return out, lines.Err()
}
