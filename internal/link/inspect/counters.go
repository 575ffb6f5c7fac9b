package inspect

import (
	"fmt"

	"github.com/vishvananda/netlink"

	"patchbay.dev/patchbay/resource"
)

// Counters is what has gone over an interface since the kernel made it, as its
// namespace sees it.
type Counters struct {
	Received, Sent resource.Traffic
}

// Since returns what has gone over it since an earlier time. What is less than
// then, as of a device that was reset, counts from 0.
func (c Counters) Since(before Counters) Counters {
	return Counters{Received: since(c.Received, before.Received), Sent: since(c.Sent, before.Sent)}
}

func since(now, before resource.Traffic) resource.Traffic {
	less := func(now, before uint64) uint64 {
		if now < before {
			return now
		}
		return now - before
	}
	return resource.Traffic{
		Bytes: less(now.Bytes, before.Bytes), Packets: less(now.Packets, before.Packets),
		Errors: less(now.Errors, before.Errors), Dropped: less(now.Dropped, before.Dropped),
	}
}

// CountersOf returns the counters of the interface of that name, or
// errdefs.ErrNotFound.
func (r *Reader) CountersOf(name string) (Counters, error) {
	l, err := r.byName(name)
	if err != nil {
		return Counters{}, err
	}
	return countersOf(l.Attrs().Statistics), nil
}

// Counters returns the counters of all interfaces by their names.
func (r *Reader) Counters() (map[string]Counters, error) {
	links, err := query(r, (*netlink.Handle).LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	all := make(map[string]Counters, len(links))
	for _, l := range links {
		all[l.Attrs().Name] = countersOf(l.Attrs().Statistics)
	}
	return all, nil
}

// countersOf converts rtnl_link_stats64; nil are counters that the kernel did not
// send, which it always does.
func countersOf(s *netlink.LinkStatistics) Counters {
	if s == nil {
		return Counters{}
	}
	return Counters{
		Received: resource.Traffic{Bytes: s.RxBytes, Packets: s.RxPackets, Errors: s.RxErrors, Dropped: s.RxDropped},
		Sent:     resource.Traffic{Bytes: s.TxBytes, Packets: s.TxPackets, Errors: s.TxErrors, Dropped: s.TxDropped},
	}
}
