package frameswitch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"patchbay.dev/patchbay/internal/tapstream"
)

// acceptPause is how long a port waits after a connection that could not be
// accepted, as when there are too many open files.
const acceptPause = 100 * time.Millisecond

// port is an open port. It has one connection at a time, the newest: a container's
// helper connects again when it lost the former one.
type port struct {
	Port
	of       *Switch
	listener net.Listener  // guarded by of.mu
	ended    chan struct{} // closed by close
	done     sync.WaitGroup

	mu     sync.Mutex
	stream net.Conn         // guarded by mu; nil: nobody is connected
	queue  *tapstream.Queue // guarded by mu; of stream
}

// open listens on the port's socket.
func open(p Port, of *Switch) (*port, error) {
	out := &port{Port: p, of: of, ended: make(chan struct{})}
	if err := out.listen(); err != nil {
		return nil, err
	}
	return out, nil
}

// listen makes the port's socket; a file that a dead process left in its place is
// removed.
func (p *port) listen() error {
	if err := os.Remove(p.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("port: left-over socket: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.Socket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("port: %w", err)
	}
	p.listener = listener
	p.done.Go(func() { p.accept(listener) })
	return nil
}

// repair makes the socket again where its file is gone. The connection that there
// is stays.
func (p *port) repair() error {
	if !p.lost() {
		return nil
	}
	p.listener.Close() // it would remove the new one's file later
	return p.listen()
}

// lost tells whether the file of the socket is gone: the connection that there is
// goes on, and no other can be made.
func (p *port) lost() bool {
	_, err := os.Lstat(p.Socket)
	return errors.Is(err, os.ErrNotExist)
}

// close ends the port, and with it all that it sends and receives.
func (p *port) close() {
	close(p.ended)
	p.listener.Close() // removes the file
	p.take(nil, nil)
	p.done.Wait()
}

// take puts a new connection in the place of the former one, which is closed.
func (p *port) take(stream net.Conn, queue *tapstream.Queue) {
	p.mu.Lock()
	before, waiting := p.stream, p.queue
	p.stream, p.queue = stream, queue
	p.mu.Unlock()
	if before != nil {
		before.Close()
		waiting.Close()
	}
}

func (p *port) send(parts ...[]byte) {
	p.mu.Lock()
	queue := p.queue
	p.mu.Unlock()
	if queue != nil {
		queue.Put(parts...)
	}
}

func (p *port) accept(listener net.Listener) {
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		stream, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if p.pause(err) {
				continue
			}
			return
		}
		queue := tapstream.NewQueue()
		p.take(stream, queue)
		select {
		case <-p.ended: // it came beside close, which did not see it
			p.take(nil, nil)
		default:
		}
		serving.Go(func() { p.serve(stream, queue) })
	}
}

// pause waits a moment and reports whether the port is still wanted.
func (p *port) pause(fault error) bool {
	timer := time.NewTimer(acceptPause)
	defer timer.Stop()
	select {
	case <-p.ended:
		return false
	case <-timer.C:
		p.of.config.Log.Warn("a container could not be connected", "socket", p.Socket, "error", fault)
		return true
	}
}

// serve carries the frames of one connection until it breaks.
func (p *port) serve(stream net.Conn, queue *tapstream.Queue) {
	var outward sync.WaitGroup
	outward.Go(func() {
		_ = queue.Run(stream)
		stream.Close()
	})
	for frames := tapstream.NewReader(stream); ; {
		frame, err := frames.Next()
		if err != nil {
			break
		}
		if p.Sender.May(frame) {
			p.of.forward(p.Sender.MAC, frame)
		}
	}
	stream.Close()
	queue.Close()
	outward.Wait()
}
