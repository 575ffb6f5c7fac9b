package relay

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	// leastRoom is how much is read at least at once: what is kept to be written is written before, if need be.
	leastRoom = 16 << 10
	// slot is how much is read at once from each of many sockets. One that has more is read by itself.
	slot = 4 << 10
	// slots is from how many sockets that is at once: what is left of the buffer is leastRoom.
	slots = (buffer - leastRoom) / slot
)

// message is what was read at once from a socket, for its peer, or room for that.
type message struct {
	of   *socket // whom it is for; of room, whom it is to be read from
	data []byte
}

// outbox keeps messages until all sockets that had something to read have been read, and has them written
// in one call. Each call that writes to a local socket may wake who reads it, who gets the
// processor when the call returns: one after the other, they would find one message each, and so would
// the loop when it goes on.
type outbox struct {
	data     []byte // what is read goes here; nil while there is no connection
	used     int    // bytes of messages in it
	messages []message
	queue    *aio // nil: there is none yet
	refused  bool // there is none to be had
	rooms    []message
	results  [queueSize]int64
}

// close ends the queue.
func (o *outbox) close() {
	if o.queue != nil {
		o.queue.close()
		o.queue = nil
	}
}

// add keeps a message.
func (o *outbox) add(to *socket, data []byte) {
	o.messages = append(o.messages, message{to, data})
	to.waited = true
}

// room is where the next message is read to.
func (r *Relay) room() []byte {
	if len(r.out.data)-r.out.used < leastRoom {
		r.send()
	}
	return r.out.data[r.out.used:]
}

// receive reads all sockets that little is expected of in one call, where there are several. It is the first to read in
// a round.
func (r *Relay) receive(events []unix.EpollEvent) {
	o := &r.out
	for _, e := range events {
		if s := r.sockets[e.Fd]; s != nil && len(o.rooms) < slots && s.brief() {
			o.rooms = append(o.rooms, message{s, o.data[len(o.rooms)*slot:][:slot:slot]})
		}
	}
	if len(o.rooms) > 1 && o.ready() {
		n := o.queue.do(iocbRead, o.rooms, o.results[:])
		o.refused = o.refused || n == 0
		o.used = n * slot
		read := o.results // what is found may have messages sent
		for i, m := range o.rooms[:n] {
			if n, err := outcome(read[i]); !m.of.pair.over {
				r.found(m.of, m.data, n, err)
			}
		}
	}
	clear(o.rooms) // of sockets that may be gone soon
	o.rooms = o.rooms[:0]
}

// outcome is what a call would have returned.
func outcome(result int64) (n int, err error) {
	if result < 0 {
		return -1, unix.Errno(-result)
	}
	return int(result), nil
}

// send writes all messages that are kept. What a socket does not take is owed to it.
func (r *Relay) send() {
	rest := r.out.messages
	for len(rest) > 1 && r.out.ready() {
		n := r.out.queue.do(iocbWrite, rest, r.out.results[:])
		r.out.refused = r.out.refused || n == 0
		for i, m := range rest[:n] {
			written, err := outcome(r.out.results[i])
			r.sent(m, written, err)
		}
		rest = rest[n:]
	}
	for _, m := range rest {
		n, err := unix.Write(m.of.fd, m.data)
		r.sent(m, n, err)
	}
	clear(r.out.messages) // of sockets that may be gone soon
	r.out.messages, r.out.used = r.out.messages[:0], 0
}

// ready tells whether there is a queue.
func (o *outbox) ready() bool {
	if o.queue == nil && !o.refused {
		var err error
		o.queue, err = newAIO()
		o.refused = err != nil
	}
	return !o.refused
}

// sent notes what became of a message.
func (r *Relay) sent(m message, n int, err error) {
	to := m.of
	to.waited = false
	switch {
	case err == nil && n == len(m.data):
	case errors.Is(err, unix.EAGAIN):
		to.pending = slices.Clone(m.data)
	case err == nil || errors.Is(err, unix.EINTR):
		to.pending = slices.Clone(m.data[max(n, 0):])
		to.flush()
	default:
		to.fail()
	}
	if to.broken {
		r.wants(to)
	}
}
