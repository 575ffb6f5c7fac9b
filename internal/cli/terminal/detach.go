package terminal

import (
	"bytes"
	"io"
)

// DetachKeys is what a user types to leave a container without ending it:
// Ctrl-P, Ctrl-Q.
var DetachKeys = []byte{'p' & 0x1f, 'q' & 0x1f}

// detachReader passes on what it reads and calls detach once the keys were
// typed one after the other. The start of a sequence is held back until the next
// key shows whether it is one.
type detachReader struct {
	from   io.Reader
	detach func()
	ready  []byte // read and cleared to be passed on
	held   int    // how many of the keys were typed so far
	err    error
}

// NewDetachReader returns a reader of from that ends, after a call of detach,
// where DetachKeys were typed. Detach must not block.
func NewDetachReader(from io.Reader, detach func()) io.Reader {
	return &detachReader{from: from, detach: detach}
}

// Read implements io.Reader.
func (d *detachReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(d.ready) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		buffer := make([]byte, len(p))
		n, err := d.from.Read(buffer)
		d.scan(buffer[:n])
		if d.err == nil && err != nil {
			d.release()
			d.err = err
		}
	}
	n := copy(p, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

func (d *detachReader) scan(typed []byte) {
	for _, b := range typed {
		if b != DetachKeys[d.held] {
			d.release()
		}
		if b != DetachKeys[d.held] {
			d.ready = append(d.ready, b)
			continue
		}
		if d.held++; d.held == len(DetachKeys) {
			d.err = io.EOF
			d.detach()
			return
		}
	}
}

// release passes on what looked like the start of the keys.
func (d *detachReader) release() {
	d.ready = append(d.ready, bytes.Clone(DetachKeys[:d.held])...)
	d.held = 0
}
