// Package loopback has a bridge route the host's own loopback addresses (127.0.0.0/8), for
// ports that are published there, and keeps all others from them.
package loopback

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/internal/netns"
)

// The filter's place among those of the bridge's ingress: before all others.
const (
	guardPriority = 1
	guardHandle   = 1
)

// Route lets packets of loopback addresses leave by the bridge and their answers come in,
// for a packet filter that translates them on the way (sysctl route_localnet). Before that
// it has the bridge drop what comes in from or for such an address without the mark, which
// the packet filter gives to answers that it has translated back: where bridged frames go
// through the filter of IP (br_netfilter), that is before they get here. The guard is one of
// traffic control (tc-bpf(8)), which a flush of the packet filter leaves alone; both go with
// the bridge.
//
// The bridge is in ns or, where that is nil, in the caller's namespace. Route may be called
// again. A kernel that lacks a part is errdefs.ErrNotImplemented, and nothing is let in then.
func Route(ns *netns.Namespace, bridge string, mark uint32) error {
	h, err := open(ns)
	if err != nil {
		return err
	}
	defer h.close()
	index, err := h.index(bridge)
	if err != nil {
		return err
	}
	filter, err := guardFilter(index, mark)
	if err != nil {
		return err
	}
	err = h.raw.Do(guardQueue(index), filter)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("bridge %s: the kernel cannot guard loopback addresses; are the modules there (sch_ingress, cls_bpf)? %w: %w", bridge, errdefs.ErrNotImplemented, err)
	case err != nil:
		return fmt.Errorf("bridge %s: guard loopback addresses: %w", bridge, err)
	}
	return inside(ns, func() error { return sysctl.Set(routeLocalnet(bridge), "1") })
}

// Faults says what of Route is no longer so, one line each.
func Faults(ns *netns.Namespace, bridge string) (faults []string) {
	guarded, err := guarded(ns, bridge)
	if err != nil {
		return []string{err.Error()}
	}
	if !guarded {
		faults = append(faults, fmt.Sprintf("bridge %s: the filter is gone that keeps loopback addresses out (tc filter show dev %s ingress)", bridge, bridge))
	}
	err = inside(ns, func() error {
		if sysctl.Get(routeLocalnet(bridge)) != "1" {
			faults = append(faults, fmt.Sprintf("sysctl net.ipv4.conf.%s.route_localnet is off: published ports are not reached at loopback addresses", bridge))
		}
		return nil
	})
	if err != nil {
		faults = append(faults, err.Error())
	}
	return faults
}

func guarded(ns *netns.Namespace, bridge string) (bool, error) {
	h, err := open(ns)
	if err != nil {
		return false, err
	}
	defer h.close()
	index, err := h.index(bridge)
	if err != nil {
		return false, err
	}
	all, err := h.nl.FilterList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}, netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return false, fmt.Errorf("bridge %s: list filters: %w", bridge, err)
	}
	for _, f := range all {
		guard, ok := f.(*netlink.BpfFilter)
		if ok && guard.Priority == guardPriority && guard.Handle == guardHandle && guard.DirectAction {
			return true, nil
		}
	}
	return false, nil
}

// handle talks to the kernel about the links of a namespace.
type handle struct {
	nl  *netlink.Handle
	raw *rtnl.Socket
}

func open(ns *netns.Namespace) (handle, error) {
	at := vns.None()
	if ns != nil {
		at = vns.NsHandle(ns.FD())
	}
	nl, err := netlink.NewHandleAt(at, unix.NETLINK_ROUTE)
	if err != nil {
		return handle{}, fmt.Errorf("open netlink: %w", err)
	}
	raw, err := rtnl.Open(ns)
	if err != nil {
		nl.Close()
		return handle{}, fmt.Errorf("open netlink: %w", err)
	}
	return handle{nl, raw}, nil
}

func (h handle) close() {
	h.nl.Close()
	h.raw.Close()
}

func (h handle) index(bridge string) (int, error) {
	l, err := h.nl.LinkByName(bridge)
	if err != nil {
		return 0, fmt.Errorf("bridge %s: %w", bridge, err)
	}
	return l.Attrs().Index, nil
}

// inside runs f where /proc/sys/net is that of the namespace.
func inside(ns *netns.Namespace, f func() error) error {
	if ns == nil {
		return f()
	}
	return ns.Do(f)
}

func routeLocalnet(bridge string) string { return filepath.Join("ipv4/conf", bridge, "route_localnet") }

// guardQueue makes the queue that filters of what comes in hang on, or finds it.
func guardQueue(index int) *nl.NetlinkRequest {
	req := rtnl.Request(unix.RTM_NEWQDISC, unix.NLM_F_CREATE)
	req.AddData(&nl.TcMsg{Family: unix.AF_UNSPEC, Ifindex: int32(index), Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT})
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("clsact")))
	return req
}

// guardFilter adds the filter, or replaces it in one step.
func guardFilter(index int, mark uint32) (*nl.NetlinkRequest, error) {
	program, err := bpf.Assemble(guardProgram(mark))
	if err != nil {
		return nil, fmt.Errorf("filter of loopback addresses: %w", err)
	}
	var ops bytes.Buffer
	for _, i := range program { // struct sock_filter of linux/filter.h
		if err := binary.Write(&ops, binary.NativeEndian, i); err != nil {
			return nil, fmt.Errorf("filter of loopback addresses: %w", err)
		}
	}
	req := rtnl.Request(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE)
	req.AddData(&nl.TcMsg{
		Family: unix.AF_UNSPEC, Ifindex: int32(index), Handle: guardHandle, Parent: netlink.HANDLE_MIN_INGRESS,
		Info: netlink.MakeHandle(guardPriority, nl.Swap16(unix.ETH_P_IP)),
	})
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(program))))
	options.AddRtAttr(nl.TCA_BPF_OPS, ops.Bytes())
	options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
	req.AddData(options)
	return req, nil
}

// guardProgram drops IPv4 packets from a loopback address, and those for one that have
// not got the mark. All else is left to the filters behind it.
func guardProgram(mark uint32) []bpf.Instruction {
	const (
		network        = 0xfff00000 // SKF_NET_OFF of linux/filter.h: from the IP header on
		source, target = network + 12, network + 16
		loopback       = 127
		extMark        = 0xfffff014 // SKF_AD_OFF + SKF_AD_MARK
	)
	unspec, shot := netlink.TC_ACT_UNSPEC, netlink.TC_ACT_SHOT
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: source, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: loopback, SkipTrue: 5},
		bpf.LoadAbsolute{Off: target, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: loopback, SkipTrue: 2},
		bpf.LoadAbsolute{Off: extMark, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: mark, SkipTrue: 1},
		bpf.RetConstant{Val: uint32(unspec)},
		bpf.RetConstant{Val: uint32(shot)},
	}
}
