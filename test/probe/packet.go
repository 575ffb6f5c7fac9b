package main

import (
	"encoding/binary"
	"errors"
	"net"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/test/probe/form"
)

// send puts a frame on an interface.
func send(name string, frame []byte) error {
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: nic.Index})
}

// capture begins to copy packets, without link-layer headers, so that it is alike for
// every device.
func (p *probe) capture() (err error) {
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	p.captures, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
	return err
}

// captured tells of the packets that have left. A packet is copied before it leaves, so
// what has arrived elsewhere is among them.
func (p *probe) captured(id int) error {
	buffer := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(p.captures, buffer, 0)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return err
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || link.Pkttype != unix.PACKET_OUTGOING {
			continue
		}
		nic, err := net.InterfaceByIndex(link.Ifindex)
		if err != nil {
			return err
		}
		if err := p.say(form.Answer{ID: id, Interface: nic.Name, Data: buffer[:n]}); err != nil {
			return err
		}
	}
}
