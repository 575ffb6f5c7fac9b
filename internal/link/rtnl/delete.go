package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/processors"
	"patchbay.dev/patchbay/internal/sockfilter"
	"patchbay.dev/patchbay/internal/subscription"
)

// DeleteLink removes a link of a namespace or, where that is nil, the caller's.
// It returns when the link and, if it is one of a pair, the other end are gone: they have
// no names, addresses and routes any more, and carry nothing. What the kernel waits for then, until nobody looks at the
// link's memory (15 to 30 ms), is waited for in the background. One that is not there
// is unix.ENODEV, or no error where so much happens in the namespace that the kernel cannot tell.
// What comes before, in the same datagram, is Optional.
func DeleteLink(ns *netns.Namespace, index int, before ...*nl.NetlinkRequest) error {
	// The kernel tells of the end before it waits, and answers after that.
	socket, err := watchEnd(ns, index)
	if err != nil {
		return err
	}
	defer processors.Spare()()
	request := deletion(index)
	unsent := make(chan error, 1)
	told := make(chan struct{})
	defer close(told)
	go func() {
		defer socket.Close()
		if err := socket.Send(serialize(append(before, request))); err != nil { // after the wait
			unsent <- fmt.Errorf("netlink: send: %w", err)
			return
		}
		<-told
	}()
	err = awaitEnd(socket, index, request.Seq)
	if errors.Is(err, unix.ENOBUFS) { // the news of the end and the answer may be among what was lost
		return deleteForCertain(ns, index)
	}
	select {
	case failure := <-unsent:
		return failure
	default:
		return err
	}
}

// serialize is the form of requests that are sent at once.
func serialize(requests []*nl.NetlinkRequest) (out []byte) {
	for _, r := range requests {
		out = append(out, r.Serialize()...)
		for len(out)%unix.NLMSG_ALIGNTO != 0 {
			out = append(out, 0)
		}
	}
	return out
}

// deleteForCertain removes a link that may be gone already, and waits for all that the kernel waits for.
func deleteForCertain(ns *netns.Namespace, index int) error {
	socket, err := Open(ns)
	if err != nil {
		return err
	}
	defer socket.Close()
	if err := socket.Do(deletion(index)); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}

// awaitEnd returns with the news of a link's end, or with the answer to the request for it. Where some may have been
// lost it is unix.ENOBUFS.
func awaitEnd(socket *subscription.Subscription, index int, request uint32) error {
	for {
		messages, err := socket.Receive()
		if err != nil {
			return fmt.Errorf("watch interface %d: %w", index, err)
		}
		for _, m := range messages {
			if isEnd(m, index) {
				return nil
			}
			if m.Header.Type == unix.NLMSG_ERROR && m.Header.Seq == request {
				return codeOf(m)
			}
		}
	}
}

func deletion(index int) *nl.NetlinkRequest {
	req := Request(unix.RTM_DELLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	return req
}

// watchEnd subscribes to the end of one link. In the host's namespace, which is the caller's, much
// else may happen; in a sandbox little does, and to have the kernel compile a filter is more than to read that.
func watchEnd(ns *netns.Namespace, index int) (socket *subscription.Subscription, err error) {
	if ns == nil {
		var filter sockfilter.Filter
		if filter, err = filterEnd(index); err == nil {
			socket, err = Subscribe(ns, filter, unix.RTNLGRP_LINK)
		}
	} else {
		socket, err = subscription.Open(ns, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	}
	if err != nil {
		return nil, fmt.Errorf("watch interface %d: %w", index, err)
	}
	return socket, nil
}

// indexAt is the place of the link's index in a message about a link, behind struct nlmsghdr.
const indexAt = 20

// filterEnd passes what isEnd is true of, and answers.
func filterEnd(index int) (sockfilter.Filter, error) {
	swapped := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, uint32(index))) // as programs load it
	return sockfilter.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: sockfilter.LowByte(typeAt), Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.NLMSG_ERROR, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.RTM_DELLINK, SkipTrue: 5},
		bpf.LoadAbsolute{Off: familyAt, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.AF_UNSPEC, SkipTrue: 3},
		bpf.LoadAbsolute{Off: indexAt, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: swapped, SkipTrue: 1},
		sockfilter.Pass,
		sockfilter.Drop,
	})
}

// isEnd tells the message that a link is gone. A bridge says the same, in its own family,
// of a port that leaves it.
func isEnd(m syscall.NetlinkMessage, index int) bool {
	return m.Header.Type == unix.RTM_DELLINK && len(m.Data) >= unix.SizeofIfInfomsg && m.Data[0] == unix.AF_UNSPEC &&
		int(int32(binary.NativeEndian.Uint32(m.Data[4:]))) == index
}
