package connection

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// looks is how often lists are read at most.
const looks = 10

// Settled is Tables for who reads lists: it calls read until nobody has changed anything
// meanwhile, or that often that what it has read last has to do. A list comes in parts, and one
// between which something changes may lack what was there all the time. The kernel says so by a
// flag of its answers (NLM_F_DUMP_INTR), which the library does not look at; so it is asked for
// the number of the last change (NFT_MSG_GETGEN) before and after, which is about several lists
// too. An error of read is the end.
func (c *Connection) Settled(read func(*nftables.Conn) error) error {
	return c.Tables(func(tables *nftables.Conn) error {
		before, err := c.wire.generation()
		for range looks {
			if err != nil {
				return err
			}
			if err := read(tables); err != nil {
				return err
			}
			var after uint32
			if after, err = c.wire.generation(); err == nil && after == before {
				return nil
			}
			before = after
		}
		return err
	})
}

// generation is the number of the last change of the tables.
func (w *wire) generation() (number uint32, err error) {
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	request.AddData(&nl.Nfgenmsg{Version: unix.NFNETLINK_V0})
	failed := w.raw.Control(func(fd uintptr) { number, err = askGeneration(int(fd), request.Serialize()) })
	if err := errors.Join(failed, err); err != nil {
		return 0, fmt.Errorf("nftables: number of the last change: %w", err)
	}
	return number, nil
}

// askGeneration has the answer when the request is sent.
func askGeneration(fd int, request []byte) (uint32, error) {
	if err := unix.Sendto(fd, request, unix.MSG_DONTWAIT, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	var answer [256]byte
	n, _, err := unix.Recvfrom(fd, answer[:], unix.MSG_DONTWAIT)
	if err != nil {
		return 0, fmt.Errorf("receive: %w", err)
	}
	const header = unix.SizeofNlMsghdr + nl.SizeofNfgenmsg
	if n < header {
		return 0, fmt.Errorf("receive: %d bytes: %w", n, unix.EBADMSG)
	}
	attributes, err := nl.ParseRouteAttr(answer[header:n])
	if err != nil {
		return 0, fmt.Errorf("receive: %w", err)
	}
	for _, a := range attributes {
		if a.Attr.Type == unix.NFTA_GEN_ID && len(a.Value) == 4 {
			return binary.BigEndian.Uint32(a.Value), nil
		}
	}
	return 0, fmt.Errorf("receive: no number: %w", unix.EBADMSG)
}
