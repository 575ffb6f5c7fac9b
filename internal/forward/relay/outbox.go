package relay

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// leastRoom is how much is read at least at once: what is kept to be written is written before, if need be.
const leastRoom = 16 << 10

// message is what was read at once from a socket, for its peer.
type message struct {
	to   *socket
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
}

// close ends the queue.
func (o *outbox) close() {
	if o.queue != nil {
		o.queue.close()
		o.queue = nil
	}
}

// add keeps a message that was read into room.
func (o *outbox) add(to *socket, size int) {
	o.messages = append(o.messages, message{to: to, data: o.data[o.used:][:size]})
	o.used += size
	to.waited = true
}

// room is where the next message is read to.
func (r *Relay) room() []byte {
	if len(r.out.data)-r.out.used < leastRoom {
		r.send()
	}
	return r.out.data[r.out.used:]
}

// send writes all messages that are kept. What a socket does not take is owed to it.
func (r *Relay) send() {
	rest := r.out.messages
	for len(rest) > 1 && r.out.ready() {
		n := r.out.queue.write(rest, r.sent)
		r.out.refused = r.out.refused || n == 0
		rest = rest[n:]
	}
	for _, m := range rest {
		n, err := unix.Write(m.to.fd, m.data)
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
	to := m.to
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
