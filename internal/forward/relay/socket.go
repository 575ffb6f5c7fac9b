package relay

import (
	"errors"

	"golang.org/x/sys/unix"
)

// pair is two connections that are each other's continuation.
type pair struct {
	ends [2]socket
	over bool
	left func()
}

// socket is one of them. All of it is guarded by Relay.mu.
type socket struct {
	pair *pair
	peer *socket
	fd   int

	readable bool   // there may be something to read
	ending   bool   // behind what is there to read is the end
	ended    bool   // the end was read
	broken   bool   // it was reset: nothing can be written to it
	shut     bool   // all was written to it, and its other side was told so
	pending  []byte // was read from the peer, and is not written yet
	pipe     *pipe  // the same of a stream, behind pending; nil while little comes at a time
	queued   bool   // in Relay.again
	waited   bool   // a message for it is in Relay.out
	long     bool   // what came last was more than fits into a slot
}

// hear notes what an event tells.
func (s *socket) hear(events uint32) {
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.ending = true
	}
	if events&unix.EPOLLERR != 0 {
		s.broken = true
	}
	if events&unix.EPOLLIN != 0 || s.ending {
		s.readable = true
	}
}

// brief tells whether a socket has something to read that a slot is expected to have room for, and that can be passed on
// at once.
func (s *socket) brief() bool {
	to := s.peer
	return s.readable && !s.ending && !s.long && !to.broken && !to.owed() && to.pipe == nil
}

// fail notes that nothing can be written to a socket. What it said before is still to be
// read, and then its end.
func (s *socket) fail() {
	s.broken, s.ending, s.readable = true, true, true
}

// owed tells whether something was read for a socket that is not written yet.
func (s *socket) owed() bool { return len(s.pending) > 0 || s.pipe != nil && s.pipe.held > 0 }

// flush writes what a socket is owed, as much as it takes.
func (s *socket) flush() {
	if s.pending = s.write(s.pending); len(s.pending) > 0 {
		return
	}
	s.pending = nil
	for !s.broken && s.pipe != nil && s.pipe.held > 0 {
		err := s.pipe.drain(s.fd)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			s.fail()
		}
	}
}

// write writes as much as a socket takes, and returns the rest. Of a socket that is broken
// nothing is left to be written.
func (s *socket) write(data []byte) []byte {
	for len(data) > 0 {
		n, err := unix.Write(s.fd, data)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return data
		case errors.Is(err, unix.EINTR):
		case err != nil:
			s.fail()
			return nil
		default:
			data = data[n:]
		}
	}
	return nil
}

// pass passes on what there is from one socket to the other, until there is no more, the other
// one does not take it, or others have their turn.
func (r *Relay) pass(from, to *socket) {
	for range turns {
		if from.pair.over {
			return
		}
		if to.waited && (from.readable || from.ended) {
			r.send() // what comes now comes behind it
		}
		if to.owed() && !to.broken {
			to.flush()
		}
		switch stuck := to.owed() || to.broken; {
		case from.broken && stuck:
			r.reset(from.pair) // whoever reads too slowly gets less of a connection that was reset
			return
		case stuck || !from.readable && !from.ended:
			return
		case from.ended:
			r.finish(from, to)
			return
		default:
			r.take(from, to)
		}
	}
	r.wants(from)
}

// wants has a socket passed on once more without an event.
func (r *Relay) wants(from *socket) {
	if !from.queued {
		from.queued = true
		r.again = append(r.again, from)
	}
}

// take reads once from a socket, for the other one, which is owed nothing. A stream, which
// fills the whole buffer, goes through a pipe until it pauses.
func (r *Relay) take(from, to *socket) {
	if to.pipe != nil {
		n, err := to.pipe.fill(from.fd)
		if r.taken(from, to, n, err) {
			to.flush()
		}
		return
	}
	room := r.room()
	n, err := unix.Read(from.fd, room)
	r.out.used += max(n, 0)
	from.long = n >= slot
	r.found(from, room, n, err)
}

// found keeps what was read from a socket into some room, to be written to the other one.
func (r *Relay) found(from *socket, room []byte, n int, err error) {
	to := from.peer
	if !r.taken(from, to, n, err) {
		return
	}
	// Less than was asked for is all that there is (epoll(7)); what comes from now
	// on is another event.
	from.readable = n == len(room) || from.ending
	from.long = from.long || n == slot
	r.out.add(to, room[:n])
	if n == buffer {
		to.pipe = r.pipe()
	}
}

// taken tells whether something was read, and notes what else was found.
func (r *Relay) taken(from, to *socket, n int, err error) bool {
	switch {
	case errors.Is(err, unix.EAGAIN):
		from.readable = false
		r.putBack(to)
	case errors.Is(err, unix.EINTR):
	case err != nil:
		r.reset(from.pair)
	case n == 0:
		from.ended, from.readable = true, false
		r.putBack(to)
	default:
		return true
	}
	return false
}

// finish tells one side that the other one has said all, and ends the pair when both have.
func (r *Relay) finish(from, to *socket) {
	if from.broken {
		r.reset(from.pair)
		return
	}
	if !to.shut {
		to.shut = true
		_ = unix.Shutdown(to.fd, unix.SHUT_WR) // of a connection that may be gone already
	}
	if from.shut {
		r.end(from.pair)
	}
}

// reset breaks both connections, as one of them was.
func (r *Relay) reset(p *pair) {
	for i := range p.ends {
		_ = unix.SetsockoptLinger(p.ends[i].fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // of one that may be gone already
	}
	r.end(p)
}

// end closes both connections.
func (r *Relay) end(p *pair) {
	if p.ends[0].waited || p.ends[1].waited {
		r.send()
	}
	r.forget(p)
	for i := range p.ends {
		r.putBack(&p.ends[i])
		unix.Close(p.ends[i].fd)
	}
	p.left()
}

// forget no longer watches a pair. That a socket is closed is not enough: a process that is
// being started may have it too, for a moment.
func (r *Relay) forget(p *pair) {
	p.over = true
	for i := range p.ends {
		fd := p.ends[i].fd
		delete(r.sockets, int32(fd))
		_ = unix.EpollCtl(r.poll, unix.EPOLL_CTL_DEL, fd, nil) // one that was not added yet
	}
}
