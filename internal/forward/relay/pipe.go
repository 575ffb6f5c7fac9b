package relay

import (
	"golang.org/x/sys/unix"
)

const (
	// pipeSize is what one splice(2) may move; the most that a process without
	// privileges may ask for, see pipe(7).
	pipeSize = 1 << 20
	// sparePipes bounds those that are kept for the next stream.
	sparePipes = 4
)

// pipe keeps what splice(2) moves: pages of the kernel, which nobody copies.
type pipe struct {
	out, in int
	held    int // bytes
}

// pipe returns one that holds nothing, or nil where there is none to be had: then
// streams are read and written.
func (r *Relay) pipe() *pipe {
	if last := len(r.spare) - 1; last >= 0 {
		p := r.spare[last]
		r.spare = r.spare[:last]
		return p
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil
	}
	_, _ = unix.FcntlInt(uintptr(ends[0]), unix.F_SETPIPE_SZ, pipeSize) // a smaller one does as well
	return &pipe{out: ends[0], in: ends[1]}
}

// putBack takes a socket's pipe from it.
func (r *Relay) putBack(s *socket) {
	p := s.pipe
	if s.pipe = nil; p == nil {
		return
	}
	if p.held == 0 && len(r.spare) < sparePipes {
		r.spare = append(r.spare, p)
		return
	}
	p.close()
}

func (r *Relay) closePipes() {
	for _, p := range r.spare {
		p.close()
	}
	r.spare = nil
}

// fill moves what a socket has into the pipe, which holds nothing.
func (p *pipe) fill(fd int) (n int, err error) {
	moved, err := unix.Splice(fd, nil, p.in, nil, pipeSize, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	p.held = int(max(moved, 0))
	return p.held, err
}

// drain moves what the pipe holds into a socket, or a part of it.
func (p *pipe) drain(fd int) error {
	n, err := unix.Splice(p.out, nil, fd, nil, p.held, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	p.held -= int(max(n, 0))
	return err
}

func (p *pipe) close() {
	unix.Close(p.out)
	unix.Close(p.in)
}
