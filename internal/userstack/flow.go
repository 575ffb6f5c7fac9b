package userstack

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxFlows is how many connections, UDP exchanges and pings one address of a
// container may have at a time: each costs a file descriptor and memory.
const maxFlows = 4096

// flows are those of one address of a container.
type flows struct {
	mac    MAC
	life   context.Context // of all flows
	cancel context.CancelFunc

	mu   sync.Mutex
	open int // guarded by mu
}

func newFlows(mac MAC) *flows {
	life, cancel := context.WithCancel(context.Background())
	return &flows{mac: mac, life: life, cancel: cancel}
}

// close ends the flows without a wait for their ends.
func (f *flows) close() { f.cancel() }

// flow is one of them. Its context ends with its container's place on the
// network; end must be called when it is over.
type flow struct {
	context.Context
	cancel context.CancelFunc
	end    func()
}

// begin counts a flow from a container's address; false: there is no such
// container, or it has too many.
func (s *Stack) begin(from netip.Addr) (flow, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.neighbours[from]
	if f == nil {
		return flow{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == maxFlows {
		return flow{}, false
	}
	f.open++
	s.running.Add(1)
	life, cancel := context.WithCancel(f.life)
	return flow{Context: life, cancel: cancel, end: func() {
		cancel()
		f.mu.Lock()
		f.open--
		f.mu.Unlock()
		s.running.Done()
	}}, true
}

// dial connects a socket of the outside to what a container means by an address.
func (s *Stack) dial(ctx context.Context, network string, to netip.Addr, port uint16) (conn net.Conn, err error) {
	target, err := s.config.Reach(to)
	if err != nil {
		return nil, err
	}
	address := target.String()
	if port != 0 {
		address = netip.AddrPortFrom(target, port).String()
	}
	connect := func() (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
		return err
	}
	if s.config.Outside != nil {
		return conn, s.config.Outside.Do(connect)
	}
	return conn, connect()
}

// idleWatch ends a flow that nothing was seen of for some time.
type idleWatch struct {
	seen  atomic.Bool
	timer *time.Timer
}

func watchIdle(limit time.Duration, end func()) *idleWatch {
	w := new(idleWatch)
	ready := make(chan struct{}) // the timer is in its place
	w.timer = time.AfterFunc(limit, func() {
		<-ready
		if w.seen.Swap(false) {
			w.timer.Reset(limit)
			return
		}
		end()
	})
	close(ready)
	return w
}

// touch tells that something was seen. The flow lives for one to two limits from
// then on.
func (w *idleWatch) touch() { w.seen.Store(true) }

func (w *idleWatch) stop() { w.timer.Stop() }
