package userstack

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// echoIdle is how long a ping waits for answers, at least.
const echoIdle = 10 * time.Second

// Echo requests and answers of both families have the same form (RFC 792, RFC
// 4443): type, code, checksum, identifier, sequence number, data.
const (
	echoChecksum   = 2
	echoIdentifier = 4
	echoHeader     = 8
)

// echoes carries echo requests on by raw sockets.
type echoes struct {
	stack *Stack

	mu   sync.Mutex
	open map[echoKey]*echo // guarded by mu
}

// echoKey is what makes a request one of the same ping.
type echoKey struct {
	from, to   netip.Addr
	identifier uint16
}

// echo is one ping.
type echo struct {
	echoKey
	outside net.Conn
	// sent is its identifier outside, where that of the container may be another's.
	sent  uint16
	watch *idleWatch
}

func newEchoes(s *Stack) *echoes { return &echoes{stack: s, open: map[echoKey]*echo{}} }

// handle takes an ICMP packet; false: the stack may act on it itself, as on what
// is for the gateway.
func (e *echoes) handle(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	to := fromAddress(id.LocalAddress)
	if slices.Contains(e.stack.config.Gateways, to) {
		return false
	}
	message := append(pkt.TransportHeader().Slice(), pkt.Data().AsRange().ToSlice()...)
	request := byte(header.ICMPv4Echo)
	if to.Is6() {
		request = byte(header.ICMPv6EchoRequest)
	}
	if len(message) < echoHeader || message[0] != request {
		return true
	}
	ping := e.of(echoKey{fromAddress(id.RemoteAddress), to, binary.BigEndian.Uint16(message[echoIdentifier:])})
	if ping == nil {
		return true
	}
	ping.watch.touch()
	ping.label(message, message[0], ping.sent)
	_, _ = ping.outside.Write(message) // a packet that is not sent is one that is lost
	return true
}

// of returns the ping that a request is one of, or nil.
func (e *echoes) of(key echoKey) *echo {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ping := e.open[key]; ping != nil {
		return ping
	}
	f, ok := e.stack.begin(key.from)
	if !ok {
		return nil
	}
	network := "ip4:icmp"
	if key.to.Is6() {
		network = "ip6:ipv6-icmp"
	}
	outside, err := e.stack.dial(f, network, key.to, 0)
	if err != nil {
		f.end()
		return nil
	}
	ping := &echo{echoKey: key, outside: outside, sent: uint16(rand.Uint32()), watch: watchIdle(echoIdle, f.cancel)}
	e.open[key] = ping
	go func() {
		defer f.end()
		e.answer(f, ping)
	}()
	return ping
}

// answer carries answers until the flow ends.
func (e *echoes) answer(f flow, ping *echo) {
	defer ping.watch.stop()
	var done sync.WaitGroup
	done.Go(func() {
		defer f.cancel()
		reply := byte(header.ICMPv4EchoReply)
		if ping.to.Is6() {
			reply = byte(header.ICMPv6EchoReply)
		}
		packet := make([]byte, maxDatagram)
		for {
			n, _, err := ping.outside.(*net.IPConn).ReadFromIP(packet)
			if err != nil {
				return
			}
			message := packet[:n]
			if n >= echoHeader && message[0] == reply && binary.BigEndian.Uint16(message[echoIdentifier:]) == ping.sent {
				ping.watch.touch()
				ping.label(message, reply, ping.identifier)
				e.stack.sendICMP(ping.to, ping.from, message)
			}
		}
	})
	<-f.Done()
	e.mu.Lock()
	delete(e.open, ping.echoKey)
	e.mu.Unlock()
	ping.outside.Close()
	done.Wait()
}

// label sets the identifier and, for IPv4, the checksum; that of IPv6 covers
// addresses too and is set by who knows them.
func (ping *echo) label(message []byte, kind byte, identifier uint16) {
	message[0] = kind
	binary.BigEndian.PutUint16(message[echoIdentifier:], identifier)
	binary.BigEndian.PutUint16(message[echoChecksum:], 0)
	if ping.to.Is4() {
		binary.BigEndian.PutUint16(message[echoChecksum:], ^checksum.Checksum(message, 0))
	}
}
