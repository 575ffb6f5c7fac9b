package used_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/hostnews/used"
	"patchbay.dev/patchbay/internal/link/rtnl"
)

// host is what a host has, and how often that was listed.
type host struct {
	has    []rtnl.Listed
	err    error
	listed int
}

func (h *host) list(take func(rtnl.Listed)) error {
	h.listed++
	for _, l := range h.has {
		take(l)
	}
	return h.err
}

func at(index int, prefix string) rtnl.Listed {
	return rtnl.Listed{Index: index, Prefix: netip.MustParsePrefix(prefix)}
}

// news is what the kernel tells of a route in the main table.
func news(kind uint16, l rtnl.Listed) []syscall.NetlinkMessage {
	family := byte(unix.AF_INET)
	if l.Prefix.Addr().Is6() {
		family = unix.AF_INET6
	}
	const mainTable, unicast = unix.RT_TABLE_MAIN, unix.RTN_UNICAST
	data := []byte{family, byte(l.Prefix.Bits()), 0, 0, mainTable, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unicast, 0, 0, 0, 0}
	attribute := func(kind uint16, value []byte) {
		data = binary.NativeEndian.AppendUint16(data, uint16(unix.SizeofRtAttr+len(value)))
		data = append(binary.NativeEndian.AppendUint16(data, kind), value...)
	}
	attribute(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(l.Index)))
	if !l.Default() {
		attribute(unix.RTA_DST, l.Prefix.Addr().AsSlice())
	}
	return []syscall.NetlinkMessage{{Header: syscall.NlMsghdr{Type: kind}, Data: data}}
}

// TestVacant: who asks is answered without a listing, as long as nothing of it may be in use.
func TestVacant(t *testing.T) {
	t.Parallel()
	h := &host{has: []rtnl.Listed{at(2, "10.1.0.7/24"), at(3, "0.0.0.0/0"), at(4, "::/0"), at(2, "fd01::1/64")}}
	table := used.New(h.list)
	ask := func(what string, vacant bool, listings int, wanted ...string) {
		t.Helper()
		var all []netip.Prefix
		for _, w := range wanted {
			all = append(all, netip.MustParsePrefix(w))
		}
		before := h.listed
		got, _, err := table.Vacant(all)
		if got != vacant || err != nil {
			t.Errorf("%s: %v is vacant: %v, %v, want %v", what, wanted, got, err, vacant)
		}
		if n := h.listed - before; n != listings {
			t.Errorf("%s: listed %d times, want %d", what, n, listings)
		}
	}
	ask("first", true, 1, "10.2.0.0/24", "fd02::/64")
	ask("again", true, 0, "10.2.0.0/24", "fd02::/64")
	ask("one of two", false, 1, "10.2.0.0/24", "fd01::/48")
	if _, gateway, err := table.Vacant(nil); gateway != 3 || err != nil {
		t.Errorf("gateway is %d, %v, want the first default route's", gateway, err)
	}

	table.Hear(news(unix.RTM_NEWROUTE, at(5, "10.2.0.128/25")))
	h.has = append(h.has, at(5, "10.2.0.128/25"))
	ask("a new route", false, 1, "10.2.0.0/24")
	ask("beside it", true, 0, "10.2.1.0/24")

	h.has = h.has[:len(h.has)-1] // as the routes of a link that goes down go
	ask("without a word", true, 1, "10.2.0.0/24")

	table.Hear(news(unix.RTM_DELROUTE, at(5, "10.3.0.0/24")))
	ask("one that goes", true, 0, "10.3.0.0/24")
	table.Hear(news(unix.RTM_DELROUTE, at(3, "10.4.0.0/24")))
	ask("of the default route's interface", true, 1, "10.3.0.0/24")
	table.Hear(news(unix.RTM_NEWROUTE, at(9, "0.0.0.0/0")))
	ask("a default route", true, 1, "10.3.0.0/24")
	table.Forget()
	ask("forgotten", true, 1, "10.3.0.0/24")
}

// TestRoom: what nobody uses any more does not stay for ever.
func TestRoom(t *testing.T) {
	t.Parallel()
	h := &host{}
	table := used.New(h.list)
	all := []netip.Prefix{netip.MustParsePrefix("fd00::/8")}
	if vacant, _, err := table.Vacant(all); !vacant || err != nil {
		t.Fatal(vacant, err)
	}
	for i := range 1 << 16 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		table.Hear(news(unix.RTM_NEWROUTE, rtnl.Listed{Index: 2, Prefix: p}))
		if i%1024 != 0 {
			continue
		}
		if vacant, _, err := table.Vacant(all); !vacant || err != nil {
			t.Fatal(vacant, err)
		}
	}
	if h.listed < 2 {
		t.Errorf("after 65,536 routes that have come and gone it was listed %d times: all of them are kept", h.listed)
	}
}

// TestNotListed: where the host cannot be listed, nothing is known.
func TestNotListed(t *testing.T) {
	t.Parallel()
	h := &host{err: errors.New("as in the test")}
	table := used.New(h.list)
	for range 2 {
		if vacant, _, err := table.Vacant(nil); vacant || !errors.Is(err, h.err) {
			t.Errorf("got %v, %v, want the error", vacant, err)
		}
	}
}
