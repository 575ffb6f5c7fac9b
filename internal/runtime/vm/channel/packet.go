package channel

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/containerd/errdefs"
)

const (
	maxDatagram = 65535                          // the longest payload
	headerSize  = 3                              // of the two lengths
	maxFrame    = headerSize + 255 + maxDatagram // the longest with its address
)

// PacketConn is a UDP socket of the guest at the other end of a stream. Each
// datagram has its length in two bytes, big-endian, that of an address in one,
// then the address and its port (netip.AddrPort.MarshalBinary), then the payload.
// A connected socket leaves the address empty.
type PacketConn struct {
	net.Conn
	reader *bufio.Reader
	local  netip.AddrPort
}

var _ net.PacketConn = (*PacketConn)(nil)

// NewPacketConn is the socket with an address at the end of a stream.
func NewPacketConn(stream net.Conn, local netip.AddrPort) *PacketConn {
	return &PacketConn{Conn: stream, reader: bufio.NewReaderSize(Stream{stream}, maxFrame), local: local}
}

// LocalAddr is the address of the socket.
func (c *PacketConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local) }

// ReadFrom reads one datagram. What p has no room for is lost.
func (c *PacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(p)
	return n, net.UDPAddrFromAddrPort(from), err
}

// ReadFromAddrPort is ReadFrom. A deadline that passes takes nothing away.
func (c *PacketConn) ReadFromAddrPort(p []byte) (n int, from netip.AddrPort, err error) {
	header, err := c.reader.Peek(headerSize)
	if err != nil {
		return 0, from, closedAtEnd(err)
	}
	payload := headerSize + int(header[2])
	end := payload + int(binary.BigEndian.Uint16(header))
	frame, err := c.reader.Peek(end)
	if err != nil {
		return 0, from, closedAtEnd(err)
	}
	n = copy(p, frame[payload:])
	if payload > headerSize {
		err = unmarshal(&from, frame[headerSize:payload])
	}
	if _, discarded := c.reader.Discard(end); err == nil {
		err = discarded
	}
	if err != nil {
		return 0, netip.AddrPort{}, fmt.Errorf("address of a datagram: %w", err)
	}
	return n, from, nil
}

// unmarshal also refuses a port without an address, which netip takes.
func unmarshal(to *netip.AddrPort, data []byte) error {
	if err := to.UnmarshalBinary(data); err != nil {
		return err
	}
	if !to.IsValid() {
		return fmt.Errorf("a port alone: %w", errdefs.ErrInvalidArgument)
	}
	return nil
}

// closedAtEnd is what a socket says when its stream has ended: it has no end itself.
func closedAtEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return net.ErrClosed
	}
	return err
}

// WriteTo sends one datagram to an address, a *net.UDPAddr.
func (c *PacketConn) WriteTo(p []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("datagram to %v: not an address of UDP: %w", to, errdefs.ErrInvalidArgument)
	}
	return c.WriteToAddrPort(p, udp.AddrPort())
}

// WriteToAddrPort is WriteTo; without an address it is Write.
func (c *PacketConn) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	if len(p) > maxDatagram {
		return 0, fmt.Errorf("datagram of %d bytes: want at most %d: %w", len(p), maxDatagram, errdefs.ErrInvalidArgument)
	}
	var address []byte
	if to.IsValid() {
		var err error
		if address, err = to.MarshalBinary(); err != nil {
			return 0, err
		}
	}
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, headerSize+len(address)+len(p)), uint16(len(p)))
	frame = append(append(append(frame, byte(len(address))), address...), p...)
	if _, err := c.Conn.Write(frame); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read reads one datagram.
func (c *PacketConn) Read(p []byte) (int, error) {
	n, _, err := c.ReadFromAddrPort(p)
	return n, err
}

// Write sends one datagram from a connected socket.
func (c *PacketConn) Write(p []byte) (int, error) { return c.WriteToAddrPort(p, netip.AddrPort{}) }
