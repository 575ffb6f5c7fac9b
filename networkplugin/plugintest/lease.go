package plugintest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/resource"
)

func testAllocateIsIdempotent(t *testing.T, c Config) {
	p := started(t, c)
	wish := &typesv1.AttachmentConfiguration{Hostname: "web", Aliases: []string{"www"}, InterfaceName: "lan0", GatewayPriority: 3}
	first := p.mustAllocate(t, "a/0", wish)
	a := first.GetAttachment()
	if a.GetNetworkId() != p.NetworkID || a.GetHostname() != "web" || len(a.GetAliases()) != 1 || a.GetInterfaceName() != "lan0" || a.GetGatewayPriority() != 3 {
		t.Errorf("got %v, want the wish in it", a)
	}
	if !json.Valid(first.GetAdditionalData()) {
		t.Errorf("got additional data %q, want JSON", first.GetAdditionalData())
	}
	again := p.mustAllocate(t, "a/0", wish)
	if !reflect.DeepEqual(a, again.GetAttachment()) || string(first.GetAdditionalData()) != string(again.GetAdditionalData()) {
		t.Errorf("got %v, want %v again", again, first)
	}
	p.mustHold(t, "a/0")
	if again := p.mustAllocate(t, "a/0", wish).GetAttachment(); !reflect.DeepEqual(a, again) {
		t.Errorf("got %v while held, want %v again", again, a)
	}
	if second := p.mustAllocate(t, "b/0", wish).GetAttachment(); second.GetMacAddress() == a.GetMacAddress() {
		t.Errorf("got %v for another key, want another MAC", second)
	}
}

func testAllocateAtOnce(t *testing.T, c Config) {
	p := started(t, c)
	const n = 50
	var mu sync.Mutex
	seen := map[string]string{}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			key := fmt.Sprintf("box%d/0", i)
			answer, err := p.allocate(t, key, nil)
			if err != nil {
				t.Errorf("%s: %v", key, err)
				return
			}
			a := answer.GetAttachment()
			mu.Lock()
			defer mu.Unlock()
			for _, identity := range []string{a.GetIpv4Address(), a.GetIpv6Address(), a.GetMacAddress()} {
				if other, taken := seen[identity]; taken && identity != "" {
					t.Errorf("%s and %s both have %s", key, other, identity)
				}
				seen[identity] = key
			}
		})
	}
	all.Wait()
	if got := len(p.states(t)); got != n {
		t.Errorf("got %d leases, want %d", got, n)
	}
}

func testHoldAndLose(t *testing.T, c Config) {
	p := started(t, c)
	before := addressesOf(p.mustAllocate(t, "a/0", nil).GetAttachment())
	p.mustAllocate(t, "b/0", nil)
	held := []string{"a/0", "b/0"}
	if c.Exclusive {
		held = held[:1]
	}
	s := p.mustHold(t, held...)
	if c.Exclusive {
		_, err := p.hold(t, "b/0")
		wantKind(t, "hold of a second one", err, errdefs.ErrResourceExhausted, owner("a/0"))
		if err := p.release(t, "b/0", false); err != nil {
			t.Errorf("release: %v", err)
		}
	}
	wantKind(t, "release while held", p.release(t, "a/0", false), errdefs.ErrFailedPrecondition, "a/0")
	if got := p.states(t)["a/0"]; got != pluginv1.LeaseState_LEASE_STATE_HELD {
		t.Errorf("got state %v, want held", got)
	}
	s.end()
	p.freed(t, "a/0")
	p.freed(t, "b/0")
	if got := addressesOf(p.mustAllocate(t, "c/0", nil).GetAttachment()); got == before {
		t.Errorf("got %s for another key, though others are free", got)
	}
	if got := addressesOf(p.mustAllocate(t, "a/0", nil).GetAttachment()); got != before {
		t.Errorf("got %s after a stop and a start, want %s again", got, before)
	}
	p.mustHold(t, "a/0")
	if inUse := p.status(t).GetAddressesInUse(); inUse != 2 {
		t.Errorf("got %d addresses in use, want 2", inUse)
	}
}

func testHoldUnknown(t *testing.T, c Config) {
	p := started(t, c)
	p.mustAllocate(t, "a/0", nil)
	_, err := p.hold(t, "a/0", "unknown/0")
	wantKind(t, "hold", err, errdefs.ErrNotFound, "unknown/0")
	if got := p.states(t)["a/0"]; got != pluginv1.LeaseState_LEASE_STATE_PENDING {
		t.Errorf("got state %v after a refused hold, want pending", got)
	}
	if err := p.release(t, "a/0", false); err != nil {
		t.Errorf("release: %v", err)
	}
	if got := p.states(t); len(got) != 0 {
		t.Errorf("got leases %v, want none", got)
	}
	if err := p.release(t, "a/0", false); err != nil {
		t.Errorf("release of what is released: %v", err)
	}
}

func testKilledAndHeldAgain(t *testing.T, c Config) {
	p := started(t, c)
	network := p.status(t)
	before := p.mustAllocate(t, "a/0", nil)
	s := p.mustHold(t, "a/0")
	p.Kill(t)
	<-s.closed
	p.Restart(t)

	// Before anybody starts the network: its sandboxes may be quicker.
	if got := p.states(t)["a/0"]; got != pluginv1.LeaseState_LEASE_STATE_ORPHANED {
		t.Errorf("got state %v after the restart, want orphaned", got)
	}
	p.mustHold(t, "a/0")
	if after := p.mustBegin(t, nil); after.GetIpv4Subnet() != network.GetIpv4Subnet() || after.GetIpv6Subnet() != network.GetIpv6Subnet() {
		t.Errorf("got %v after the restart, want the subnets of %v", after, network)
	}
	if other := p.mustAllocate(t, "b/0", nil); addressesOf(other.GetAttachment()) == addressesOf(before.GetAttachment()) {
		t.Error("another key got the addresses of a live sandbox")
	}
	after := p.mustAllocate(t, "a/0", nil)
	if !reflect.DeepEqual(before.GetAttachment(), after.GetAttachment()) || string(before.GetAdditionalData()) != string(after.GetAdditionalData()) {
		t.Errorf("got %v after the restart, want %v", after, before)
	}
	if got := p.states(t)["a/0"]; got != pluginv1.LeaseState_LEASE_STATE_HELD {
		t.Errorf("got state %v, want held", got)
	}
}

func testKilledAndNotHeldAgain(t *testing.T, c Config) {
	p := started(t, c)
	before := addressesOf(p.mustAllocate(t, "a/0", nil).GetAttachment())
	p.mustHold(t, "a/0")
	p.Kill(t)
	p.Restart(t)
	p.freed(t, "a/0")
	if got := addressesOf(p.mustAllocate(t, "a/0", nil).GetAttachment()); got != before {
		t.Errorf("got %s, want %s again", got, before)
	}
}

func testTerminated(t *testing.T, c Config) {
	p := started(t, c)
	before := addressesOf(p.mustAllocate(t, "a/0", nil).GetAttachment())
	s := p.mustHold(t, "a/0")
	if code := p.Terminate(t); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	<-s.closed
	if c.Residue != nil && len(c.Residue(t, p.NetworkID)) == 0 {
		t.Error("the end of the process took the network with it")
	}
	p.Restart(t)
	p.mustHold(t, "a/0")
	if got := addressesOf(p.mustAllocate(t, "a/0", nil).GetAttachment()); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
}

func testStaticConflicts(t *testing.T, c Config) {
	p := started(t, c)
	const mac = "02:70:61:74:63:68"
	status := p.status(t)
	wish := &typesv1.AttachmentConfiguration{MacAddress: mac}
	if subnet := status.GetIpv4Subnet(); subnet != "" {
		wish.Ipv4Address = other(t, subnet, 0)
	}
	if subnet := status.GetIpv6Subnet(); subnet != "" {
		wish.Ipv6Address = other(t, subnet, 0)
	}
	a := p.mustAllocate(t, "a/0", wish).GetAttachment()
	if a.GetMacAddress() != mac || hostOf(a.GetIpv4Address()) != wish.GetIpv4Address() || hostOf(a.GetIpv6Address()) != wish.GetIpv6Address() {
		t.Errorf("got %v, want %v", a, wish)
	}
	for _, same := range []*typesv1.AttachmentConfiguration{
		{MacAddress: wish.GetMacAddress()}, {Ipv4Address: wish.GetIpv4Address()}, {Ipv6Address: wish.GetIpv6Address()},
	} {
		if value := same.GetMacAddress() + same.GetIpv4Address() + same.GetIpv6Address(); value != "" {
			_, err := p.allocate(t, "b/0", same)
			wantKind(t, "taken "+value, err, errdefs.ErrAlreadyExists, value, owner("a/0"))
		}
	}
	if got := p.states(t); len(got) != 1 {
		t.Errorf("got leases %v, want those of the refused ones not to be there", got)
	}
}

// hostOf returns the address of a prefix; empty for none.
func hostOf(prefix string) string {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return ""
	}
	return p.Addr().String()
}

func testStaticUnfit(t *testing.T, c Config) {
	p := started(t, c)
	status := p.status(t)
	var refused []*typesv1.AttachmentConfiguration
	if subnet, err := netip.ParsePrefix(status.GetIpv4Subnet()); err == nil {
		refused = append(refused,
			&typesv1.AttachmentConfiguration{Ipv4Address: subnet.Addr().String()},
			&typesv1.AttachmentConfiguration{Ipv4Address: "203.0.113.7"},
			&typesv1.AttachmentConfiguration{Ipv4Address: "fd00::7"})
	} else {
		refused = append(refused, &typesv1.AttachmentConfiguration{Ipv4Address: "203.0.113.7"})
	}
	if gateway := status.GetIpv4Gateway(); gateway != "" {
		refused = append(refused, &typesv1.AttachmentConfiguration{Ipv4Address: gateway})
	}
	if gateway := status.GetIpv6Gateway(); gateway != "" {
		refused = append(refused, &typesv1.AttachmentConfiguration{Ipv6Address: gateway})
	}
	refused = append(refused, &typesv1.AttachmentConfiguration{Ipv6Address: "2001:db8:ffff::7"})
	for _, wish := range refused {
		address := wish.GetIpv4Address() + wish.GetIpv6Address()
		_, err := p.allocate(t, "a/0", wish)
		wantKind(t, address, err, errInvalid, address)
	}
	_, err := p.allocate(t, "a/0", &typesv1.AttachmentConfiguration{MacAddress: "01:00:5e:00:00:01"})
	wantKind(t, "multicast MAC", err, errInvalid, "01:00:5e:00:00:01")
	if got := p.states(t); len(got) != 0 {
		t.Errorf("got leases %v, want none", got)
	}
}

func testMTU(t *testing.T, c Config) {
	p := started(t, c)
	mtu := p.status(t).GetMtu()
	if mtu == 0 {
		return
	}
	for _, bad := range []uint32{mtu + 1, 67, 70000} {
		_, err := p.allocate(t, "a/0", &typesv1.AttachmentConfiguration{Mtu: bad})
		wantKind(t, fmt.Sprintf("mtu %d", bad), err, errInvalid, fmt.Sprint(bad), fmt.Sprint(mtu))
	}
	if got := p.mustAllocate(t, "a/0", nil).GetAttachment().GetMtu(); got != mtu {
		t.Errorf("got mtu %d, want that of the network, %d", got, mtu)
	}
	if got := p.mustAllocate(t, "b/0", &typesv1.AttachmentConfiguration{Mtu: 1280}).GetAttachment().GetMtu(); got != 1280 {
		t.Errorf("got mtu %d, want 1280", got)
	}
}

func testReservations(t *testing.T, c Config) {
	p := started(t, c)
	status := p.status(t)
	r := &pluginv1.Reservation{Key: "a/0", Owner: owner("a/0"), MacAddress: "02:70:61:74:63:68"}
	if subnet := status.GetIpv4Subnet(); subnet != "" {
		r.Ipv4Address = other(t, subnet, 1)
	} else {
		r.Ipv6Address = other(t, status.GetIpv6Subnet(), 1)
	}
	for range 2 {
		if _, err := p.client.Reserve(bounded(t), &pluginv1.ReserveRequest{Reservation: r}); err != nil {
			t.Fatalf("reserve: %v", err)
		}
	}
	taken := &typesv1.AttachmentConfiguration{Ipv4Address: r.GetIpv4Address(), Ipv6Address: r.GetIpv6Address()}
	_, err := p.allocate(t, "b/0", taken)
	wantKind(t, "reserved address", err, errdefs.ErrAlreadyExists, owner("a/0"))
	_, err = p.client.Reserve(bounded(t), &pluginv1.ReserveRequest{Reservation: &pluginv1.Reservation{Key: "b/0", MacAddress: r.GetMacAddress()}})
	wantKind(t, "reserved MAC", err, errdefs.ErrAlreadyExists, owner("a/0"))

	p.Kill(t)
	p.Restart(t)
	p.mustBegin(t, nil, r)
	_, err = p.allocate(t, "b/0", taken)
	wantKind(t, "reserved address after a restart", err, errdefs.ErrAlreadyExists, owner("a/0"))
	p.mustBegin(t, nil) // without it
	if _, err := p.allocate(t, "b/0", taken); err != nil {
		t.Errorf("allocate of what is no longer reserved: %v", err)
	}
}

func testExhausted(t *testing.T, c Config) {
	p := start(t, c, resource.NewID())
	t.Cleanup(func() { p.remove(t) })
	status := p.mustBegin(t, func(c *pluginv1.NetworkConfiguration) { c.Ipv4Subnet = "10.70.7.8/29" })
	total := status.GetAddressesTotal()
	if total < 1 || total > 8 {
		t.Fatalf("got %d addresses in a /29", total)
	}
	for i := range total {
		p.mustAllocate(t, fmt.Sprintf("box%d/0", i), nil)
	}
	_, err := p.allocate(t, "more/0", nil)
	wantKind(t, "one too many", err, errdefs.ErrResourceExhausted, "10.70.7.8/29", fmt.Sprint(total))
	now := p.status(t)
	if got := now.GetAddressesInUse(); got != total {
		t.Errorf("got %d in use, want %d", got, total)
	}
	if u := now.GetIpv4Addresses(); u != nil && (u.GetInUse() != total || u.GetTotal() != total) {
		t.Errorf("got %d of %d IPv4 addresses in use, want %d of %d as in total", u.GetInUse(), u.GetTotal(), total, total)
	}
	freed := p.mustAllocate(t, "box0/0", nil).GetAttachment().GetIpv4Address()
	if err := p.release(t, "box0/0", true); err != nil {
		t.Fatal(err)
	}
	if got := p.mustAllocate(t, "more/0", nil).GetAttachment().GetIpv4Address(); got != freed {
		t.Errorf("got %s, want %s, the only one free", got, freed)
	}
}

func testForget(t *testing.T, c Config) {
	p := started(t, c)
	r := &pluginv1.Reservation{Key: "a/0", Owner: owner("a/0"), MacAddress: "02:70:61:74:63:68"}
	if _, err := p.client.Reserve(bounded(t), &pluginv1.ReserveRequest{Reservation: r}); err != nil {
		t.Fatalf("reserve: %v", err)
	}
	p.mustAllocate(t, "a/0", &typesv1.AttachmentConfiguration{MacAddress: r.GetMacAddress()})
	if err := p.release(t, "a/0", true); err != nil {
		t.Fatalf("release with forget: %v", err)
	}
	r.Key = "b/0"
	if _, err := p.client.Reserve(bounded(t), &pluginv1.ReserveRequest{Reservation: r}); err != nil {
		t.Errorf("reserve of what was forgotten: %v", err)
	}
	if got := p.status(t).GetAddressesInUse(); got != 0 {
		t.Errorf("got %d addresses in use, want 0", got)
	}
}

func testLookup(t *testing.T, c Config) {
	p := started(t, c)
	a := p.mustAllocate(t, "a/0", &typesv1.AttachmentConfiguration{Hostname: "web", Aliases: []string{"shop"}}).GetAttachment()
	lookup := func(r *pluginv1.LookupRequest) int {
		answer, err := p.client.Lookup(bounded(t), r)
		if err != nil {
			t.Errorf("lookup: %v", err)
		}
		for _, got := range answer.GetAttachments() {
			if !reflect.DeepEqual(got, a) {
				t.Errorf("got %v, want %v", got, a)
			}
		}
		for _, got := range answer.GetOwners() {
			if got != owner("a/0") && got != "" {
				t.Errorf("got owner %q, want %q or none", got, owner("a/0"))
			}
		}
		return len(answer.GetAttachments())
	}
	byName := func(name string) *pluginv1.LookupRequest {
		return &pluginv1.LookupRequest{Query: &pluginv1.LookupRequest_Name{Name: name}}
	}
	s := p.mustHold(t, "a/0")
	for name, want := range map[string]int{"web": 1, "WEB": 1, "Shop": 1, owner("a/0"): 1, "other": 0, "we": 0} {
		if got := lookup(byName(name)); got != want {
			t.Errorf("%q: got %d answers, want %d", name, got, want)
		}
	}
	for _, address := range []string{hostOf(a.GetIpv4Address()), hostOf(a.GetIpv6Address())} {
		if address != "" && lookup(&pluginv1.LookupRequest{Query: &pluginv1.LookupRequest_Address{Address: address}}) != 1 {
			t.Errorf("%s: got no answer", address)
		}
	}
	s.end()
	p.freed(t, "a/0")
	if lookup(byName("web")) != 0 {
		t.Error("a name outlived its attachment")
	}
}
