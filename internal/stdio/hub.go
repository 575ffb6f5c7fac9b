package stdio

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The default bounds of a Hub.
const (
	// DefaultAwaitAttach is how long output is held back for somebody to attach.
	DefaultAwaitAttach = 10 * time.Second
	// DefaultStall is how long an attached caller may leave output unread
	// before it is dropped.
	DefaultStall = 30 * time.Second
	// quiet is how long the output of a process that has ended may be silent,
	// while others of the sandbox keep it open, before it is taken as complete.
	quiet = 500 * time.Millisecond
)

// queueLength bounds the frames that wait for one caller: half a MiB of output.
const queueLength = 16

// Source is the helper's end of an output stream: a pipe or a terminal. The hub
// closes it at its end.
type Source interface {
	io.ReadCloser
	SetReadDeadline(time.Time) error
}

// HubConfig is what a Hub needs.
type HubConfig struct {
	// Stdin is the helper's end of the process's input; nil: it has none. The
	// hub closes it.
	Stdin io.WriteCloser
	// Terminal says that Stdin is a terminal, and so also the source of the
	// output: it is not closed before all output has been read.
	Terminal bool
	// Stdout and Stderr get all output, attached callers or not; nil: nobody.
	Stdout, Stderr io.Writer
	// AwaitAttach holds the output back until somebody has attached, at most so
	// long; 0: not at all.
	AwaitAttach time.Duration
	// Stall is how long an attached caller may leave output unread before it is
	// dropped, so that it cannot block the process for ever; 0: DefaultStall.
	Stall time.Duration
}

// Hub joins the standard streams of one process with its log and any number of
// attached callers.
type Hub struct {
	config   HubConfig
	released chan struct{} // closed when output need not be held back any more
	finished chan struct{} // closed when exit is set
	copies   sync.WaitGroup

	mu      sync.Mutex
	free    bool             // guarded by mu; released is closed
	over    bool             // guarded by mu; the process has ended
	done    bool             // guarded by mu; exit is set
	exit    Exit             // guarded by mu
	sources []Source         // guarded by mu
	callers map[*caller]bool // guarded by mu
}

// NewHub returns a hub without output streams.
func NewHub(c HubConfig) *Hub {
	if c.Stall == 0 {
		c.Stall = DefaultStall
	}
	return &Hub{
		config:   c,
		released: make(chan struct{}),
		finished: make(chan struct{}),
		callers:  make(map[*caller]bool),
	}
}

// Copy starts to pass on an output stream, until its end. It is called before
// ProcessEnded.
func (h *Hub) Copy(stderr bool, s Source) {
	h.mu.Lock()
	h.sources = append(h.sources, s)
	h.mu.Unlock()
	h.copies.Go(func() {
		h.await()
		h.copy(stderr, s)
	})
}

// await holds a copy back as configured. The end of the process does not
// release it: the output of a short one is for who is about to attach.
func (h *Hub) await() {
	if h.config.AwaitAttach <= 0 {
		return
	}
	timer := time.NewTimer(h.config.AwaitAttach)
	defer timer.Stop()
	select {
	case <-h.released:
	case <-timer.C:
	}
}

// Release stops holding output back.
func (h *Hub) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release()
}

// release needs mu.
func (h *Hub) release() {
	if !h.free {
		h.free = true
		close(h.released)
	}
}

func (h *Hub) copy(stderr bool, s Source) {
	defer s.Close()
	kind, log := frameStdout, h.config.Stdout
	if stderr {
		kind, log = frameStderr, h.config.Stderr
	}
	buf := make([]byte, chunk)
	for {
		n, err := s.Read(buf)
		if n > 0 {
			h.pass(kind, log, buf[:n])
			h.extend(s)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if h.stillOpen() {
				h.extend(s)
				continue
			}
			// The silence may have been ours: nobody may have read since the deadline was set,
			// while output was held back, or on a busy machine.
			if n = ReadNow(s, buf); n > 0 {
				h.pass(kind, log, buf[:n])
				h.extend(s)
				continue
			}
		}
		if err != nil { // io.EOF; EIO of a terminal; nothing comes after any
			return
		}
	}
}

// pass gives output to the log, nil for none, and to the callers.
func (h *Hub) pass(kind byte, log io.Writer, output []byte) {
	if log != nil {
		// A full disk must not stop the process: callers still get it.
		_, _ = log.Write(output)
	}
	h.broadcast(kind, output)
}

// ReadNow reads what a source has without waiting for more, and returns how much that is. It takes
// the deadline of a file away, after which a read does not look. Streams of a machine are no files; they give
// what has arrived before they look at the deadline.
func ReadNow(s Source, buf []byte) (n int) {
	file, ok := s.(syscall.Conn)
	if !ok || s.SetReadDeadline(time.Time{}) != nil {
		return 0
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Read(func(fd uintptr) bool {
		var failed error
		for failed = unix.EINTR; failed == unix.EINTR; {
			n, failed = unix.Read(int(fd), buf)
		}
		return true
	})
	if err != nil {
		return 0
	}
	return max(n, 0)
}

func (h *Hub) stillOpen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.over
}

// extend grants a source of an ended process more time.
func (h *Hub) extend(s Source) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		_ = s.SetReadDeadline(time.Now().Add(quiet))
	}
}

// ProcessEnded says that the process has exited. What it has written is still
// passed on; others that keep its output open are not waited for.
func (h *Hub) ProcessEnded() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	h.over = true
	for _, s := range h.sources {
		_ = s.SetReadDeadline(time.Now().Add(quiet))
	}
	if h.config.Stdin != nil && !h.config.Terminal {
		_ = h.config.Stdin.Close()
	}
}

// Drain returns when all output has been passed on. It is called after
// ProcessEnded.
func (h *Hub) Drain() { h.copies.Wait() }

// Finish tells all callers, present and future, how the process ended.
func (h *Hub) Finish(exit Exit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done {
		return
	}
	h.done, h.exit = true, exit
	close(h.finished)
	for c := range h.callers {
		c.finish(exit)
		delete(h.callers, c)
	}
}

// broadcast gives output to all callers that want it, and waits while one of
// them has its queue full.
func (h *Hub) broadcast(kind byte, data []byte) {
	h.mu.Lock()
	wanting := make([]*caller, 0, len(h.callers))
	for c := range h.callers {
		if c.wants(kind) {
			wanting = append(wanting, c)
		}
	}
	h.mu.Unlock()
	if len(wanting) == 0 {
		return
	}
	f := frame(kind, data)
	for _, c := range wanting {
		c.push(f)
	}
}

// join adds a caller; if the process has ended already it is told so.
func (h *Hub) join(c *caller) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.push(frame(frameAttached, nil))
	h.release()
	if h.done {
		c.finish(h.exit)
		return
	}
	h.callers[c] = true
}

func (h *Hub) leave(c *caller) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.callers, c)
}

// input passes a caller's input on. It blocks while the process does not read.
func (h *Hub) input(p []byte) error {
	if h.config.Stdin == nil {
		return nil
	}
	_, err := h.config.Stdin.Write(p)
	return err
}

// inputClosed ends the process's input.
func (h *Hub) inputClosed() {
	if h.config.Stdin != nil && !h.config.Terminal {
		_ = h.config.Stdin.Close()
	}
}
