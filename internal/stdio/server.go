package stdio

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// attachTimeout is how long a caller may take to say what it wants.
const attachTimeout = 10 * time.Second

// Server answers callers of Attach on a unix socket.
type Server struct {
	listener net.Listener
	log      *slog.Logger
	running  sync.WaitGroup

	mu      sync.Mutex
	hubs    map[string]*Hub       // guarded by mu; by process
	conns   map[net.Conn]struct{} // guarded by mu
	closing bool                  // guarded by mu
}

// Serve starts to answer on l, root's processes only. The server closes l.
func Serve(l net.Listener, log *slog.Logger) *Server {
	s := &Server{listener: l, log: log, hubs: make(map[string]*Hub), conns: make(map[net.Conn]struct{})}
	s.running.Go(s.accept)
	return s
}

// Add makes a process attachable.
func (s *Server) Add(process string, h *Hub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hubs[process] = h
}

// Remove makes a process unknown to new callers.
func (s *Server) Remove(process string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hubs, process)
}

// Close stops accepting, lets callers whose process has ended take what is
// queued for them, and cuts the others.
func (s *Server) Close() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	_ = s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		// Ends the reading side; the writing side ends by itself.
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	s.running.Wait()
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		if !s.track(conn) {
			continue
		}
		s.running.Go(func() {
			defer s.untrack(conn)
			if err := s.serve(conn); err != nil {
				s.log.Debug("attached session ended", "error", err)
			}
		})
	}
}

func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		_ = c.Close()
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) untrack(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	_ = c.Close()
}

func (s *Server) serve(conn net.Conn) error {
	if err := rootOnly(conn); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(attachTimeout))
	kind, payload, buf, err := readFrame(conn, nil)
	if err != nil {
		return err
	}
	var request attachRequest
	if kind != frameAttach {
		return fmt.Errorf("first frame has type %d: want attach", kind)
	}
	if err := json.Unmarshal(payload, &request); err != nil {
		return fmt.Errorf("attach frame: %w", err)
	}
	s.mu.Lock()
	hub := s.hubs[request.Process]
	if !s.closing {
		_ = conn.SetReadDeadline(time.Time{})
	}
	s.mu.Unlock()
	if hub == nil {
		_, err := conn.Write(frame(frameRefused, fmt.Appendf(nil, "process %q: not found in this sandbox", request.Process)))
		return err
	}
	c := newCaller(conn, request, hub.config.Stall)
	hub.join(c)
	err = c.read(hub, buf)
	hub.leave(c)
	c.close()
	return err
}

// caller is one attached session, seen from the helper.
type caller struct {
	conn    net.Conn
	request attachRequest
	stall   time.Duration
	queue   chan []byte
	gone    chan struct{} // closed when the writer has ended
	mu      sync.Mutex
	ended   bool          // guarded by mu; over is closed
	over    chan struct{} // closed when no further frame will be pushed
}

func newCaller(conn net.Conn, request attachRequest, stall time.Duration) *caller {
	c := &caller{
		conn: conn, request: request, stall: stall,
		queue: make(chan []byte, queueLength),
		gone:  make(chan struct{}),
		over:  make(chan struct{}),
	}
	go c.write()
	return c
}

func (c *caller) wants(kind byte) bool {
	return kind == frameStdout && c.request.Stdout || kind == frameStderr && c.request.Stderr
}

// push queues a frame; it waits for room while the caller reads.
func (c *caller) push(f []byte) {
	select {
	case c.queue <- f:
	case <-c.gone:
	case <-c.over:
	}
}

// finish queues the last frame without waiting: the writer adds it after what
// is queued.
func (c *caller) finish(exit Exit) {
	go func() {
		c.push(jsonFrame(frameExit, exit))
		c.end()
	}()
}

func (c *caller) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended = true
		close(c.over)
	}
}

// close ends the session from the caller's side and waits for the writer.
func (c *caller) close() {
	c.end()
	<-c.gone
}

// write sends what is queued. A caller that does not read for the stall time
// is dropped.
func (c *caller) write() {
	defer close(c.gone)
	defer c.conn.Close()
	send := func(f []byte) bool {
		_ = c.conn.SetWriteDeadline(time.Now().Add(c.stall))
		_, err := c.conn.Write(f)
		return err == nil
	}
	for {
		select {
		case f := <-c.queue:
			if !send(f) {
				return
			}
		case <-c.over:
			for {
				select {
				case f := <-c.queue:
					if !send(f) {
						return
					}
				default:
					return
				}
			}
		}
	}
}

// read passes input on until the caller detaches, or all is said.
func (c *caller) read(hub *Hub, buf []byte) error {
	for {
		kind, payload, grown, err := readFrame(c.conn, buf)
		if err != nil {
			select {
			case <-hub.finished: // the last frames may still be on their way
				<-c.over
				return nil
			default:
				return err
			}
		}
		buf = grown
		switch {
		case !c.request.Stdin:
		case kind == frameStdin:
			if hub.input(payload) != nil {
				continue // it has closed its input: the rest is dropped
			}
		case kind == frameStdinClosed:
			hub.inputClosed()
		}
	}
}

// rootOnly refuses callers of other users. The socket's mode does so too.
func rootOnly(conn net.Conn) error {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil // an in-process pipe
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if credErr != nil {
		return credErr
	}
	if cred.Uid != 0 && int(cred.Uid) != unix.Geteuid() {
		return fmt.Errorf("user %d may not attach: want root", cred.Uid)
	}
	return nil
}
