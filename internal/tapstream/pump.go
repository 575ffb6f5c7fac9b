package tapstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// batch is how much is read from a tap before it is written to the stream.
	batch = 256 << 10
	// The bounds of the back-off of redialling. The longest is what traffic waits
	// for after the other side has come back, and a stream that lives no longer than
	// that does not begin the back-off anew.
	firstRedial = 10 * time.Millisecond
	lastRedial  = 500 * time.Millisecond
)

// Pump carries frames between a tap and a unix stream socket. When the
// other side of the socket goes, it connects again until there is a new one;
// meanwhile the kernel keeps the tap's newest frames to a fixed number and drops
// the rest. It ends by Close, or when the tap's interface is deleted.
type Pump struct {
	tap    *os.File
	raw    syscall.RawConn
	socket string
	life   context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// NewPump connects to the socket and carries the frames of tap, whose file must be
// one that waits, and which is the pump's to close unless there is an error.
func NewPump(ctx context.Context, tap *os.File, socket string) (*Pump, error) {
	raw, err := tap.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("tap: %w", err)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &Pump{tap: tap, raw: raw, socket: socket, life: life, cancel: cancel}
	stream, err := p.dial(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("network's socket: %w", err)
	}
	p.done.Go(func() { p.run(stream) })
	return p, nil
}

// Close ends the pump and, with its tap, the interface. It may be called again.
func (p *Pump) Close() {
	p.cancel()
	p.done.Wait()
}

func (p *Pump) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", p.socket)
}

// run carries frames until the tap is of no more use, over one stream after another.
func (p *Pump) run(stream net.Conn) {
	defer p.tap.Close()
	for delay := firstRedial; stream != nil; {
		begin := time.Now()
		if !p.carry(stream) {
			return
		}
		if time.Since(begin) > lastRedial {
			delay = firstRedial
		}
		stream, delay = p.redial(delay)
	}
}

// redial tries until it has a stream, or returns nil when life has ended. It waits
// before each try, and returns how long the next wait is to be.
func (p *Pump) redial(delay time.Duration) (net.Conn, time.Duration) {
	for {
		timer := time.NewTimer(delay)
		select {
		case <-p.life.Done():
			timer.Stop()
			return nil, 0
		case <-timer.C:
		}
		delay = min(2*delay, lastRedial)
		if stream, err := p.dial(p.life); err == nil {
			return stream, delay
		}
	}
}

// carry carries frames both ways until the stream breaks, and reports whether
// another one is of use.
func (p *Pump) carry(stream net.Conn) bool {
	defer context.AfterFunc(p.life, func() { _ = stream.Close() })()
	var inward sync.WaitGroup
	inward.Go(func() {
		p.inward(stream)
		_ = p.tap.SetReadDeadline(time.Unix(1, 0)) // wakes outward
	})
	again := p.outward(stream)
	_ = stream.Close()
	inward.Wait()
	return again && p.tap.SetReadDeadline(time.Time{}) == nil && p.life.Err() == nil
}

// inward writes the stream's frames to the tap. A frame that the interface does
// not take, for example while it is down, is lost as on a wire.
func (p *Pump) inward(stream net.Conn) {
	for frames := NewReader(stream); ; {
		frame, err := frames.Next()
		if err != nil {
			return
		}
		_, _ = p.tap.Write(frame)
	}
}

// outward writes the tap's frames to the stream, as many at once as there are,
// and reports whether the tap is still of use.
func (p *Pump) outward(stream net.Conn) bool {
	buffer := make([]byte, batch)
	for {
		var (
			n     int
			fault error
		)
		err := p.raw.Read(func(fd uintptr) bool {
			n, fault = gather(int(fd), buffer)
			return n > 0 || fault != nil
		})
		if err == nil && n > 0 {
			if _, err := stream.Write(buffer[:n]); err != nil {
				return true
			}
		}
		if err = errors.Join(err, fault); err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}

// gather reads frames with their headers until none is ready or the buffer has
// no room for another one. It returns how much of the buffer is filled.
func gather(tap int, buffer []byte) (filled int, err error) {
	for len(buffer)-filled >= HeaderLength+MaxFrame {
		at := filled + HeaderLength
		n, err := unix.Read(tap, buffer[at:at+MaxFrame])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return filled, nil
		case err != nil:
			return filled, fmt.Errorf("read tap: %w", err)
		case n == 0:
			return filled, nil
		}
		PutHeader(buffer[filled:], n)
		filled = at + n
	}
	return filled, nil
}
