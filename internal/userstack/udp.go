package userstack

import (
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	// udpIdle is how long an exchange lives without a datagram, at least.
	udpIdle = 60 * time.Second
	// maxDatagram is the longest payload of UDP over IPv6.
	maxDatagram = 65535 - 8
)

// acceptUDP begins an exchange of datagrams between one port of a container and
// one of the outside. False has the stack answer that the port is unreachable.
func (s *Stack) acceptUDP(r *udp.ForwarderRequest) bool {
	id := r.ID()
	f, ok := s.begin(fromAddress(id.RemoteAddress))
	if !ok {
		return true
	}
	outside, err := s.dial(f, "udp", fromAddress(id.LocalAddress), id.LocalPort)
	if err != nil {
		f.end()
		return false
	}
	var queue waiter.Queue
	endpoint, fault := r.CreateEndpoint(&queue)
	if fault != nil {
		outside.Close()
		f.end()
		return true
	}
	go func() {
		defer f.end()
		if exchange(f, gonet.NewUDPConn(&queue, endpoint), outside) {
			s.sendUnreachable(id)
		}
	}()
	return true
}

// exchange carries datagrams until both sides are quiet or the flow ends, and reports
// whether the outside has refused them.
func exchange(f flow, inside, outside io.ReadWriteCloser) (refused bool) {
	watch := watchIdle(udpIdle, f.cancel)
	defer watch.stop()
	var (
		ways   sync.WaitGroup
		faults [2]error
	)
	for i, way := range [][2]io.ReadWriteCloser{{inside, outside}, {outside, inside}} {
		ways.Go(func() {
			defer f.cancel()
			buffer := make([]byte, maxDatagram)
			for {
				n, err := way[0].Read(buffer)
				if err == nil {
					watch.touch()
					_, err = way[1].Write(buffer[:n])
				}
				if err != nil {
					faults[i] = err
					return
				}
			}
		})
	}
	<-f.Done()
	inside.Close()
	outside.Close()
	ways.Wait()
	return errors.Is(errors.Join(faults[:]...), unix.ECONNREFUSED)
}
