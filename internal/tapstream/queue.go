package tapstream

import (
	"io"
	"sync"
)

// queueLimit is how many bytes of frames wait at most for a stream that does not
// take them. As many again are on their way.
const queueLimit = 1 << 20

// Queue is the frames that wait for a stream. It never makes who sends them wait:
// what has no room is dropped, as on a wire.
type Queue struct {
	ready chan struct{} // holds a token while there may be frames

	mu      sync.Mutex
	waiting []byte // guarded by mu; frames with their headers
	closed  bool   // guarded by mu
}

// NewQueue returns an empty queue.
func NewQueue() *Queue { return &Queue{ready: make(chan struct{}, 1)} }

// Put appends a frame, given in parts, of which nothing is kept. It reports
// whether there was room.
func (q *Queue) Put(parts ...[]byte) bool {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || n == 0 || n > MaxFrame || len(q.waiting)+HeaderLength+n > queueLimit {
		return false
	}
	var header [HeaderLength]byte
	PutHeader(header[:], n)
	q.waiting = append(q.waiting, header[:]...)
	for _, p := range parts {
		q.waiting = append(q.waiting, p...)
	}
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return true
}

// Run writes frames to a stream, all that wait at once, until the stream breaks or the
// queue is closed. It is called once.
func (q *Queue) Run(stream io.Writer) error {
	var sending []byte
	for range q.ready {
		q.mu.Lock()
		q.waiting, sending = sending[:0], q.waiting
		q.mu.Unlock()
		if _, err := stream.Write(sending); err != nil {
			return err
		}
	}
	return nil
}

// Close ends Run and drops what waits. It may be called again.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed, q.waiting = true, nil
		close(q.ready)
	}
}
