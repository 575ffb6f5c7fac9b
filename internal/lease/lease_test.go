package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/lease"
	"patchbay.dev/patchbay/internal/lease/pool"
	"patchbay.dev/patchbay/internal/macaddress"
	"patchbay.dev/patchbay/resource"
)

// fake is a network in memory.
type fake struct {
	mu        sync.Mutex
	on        map[string]string // key to owner of the ports on the network
	namespace map[string]string // what each port's namespace path pointed to
	expels    int
	familiar  map[string]bool // what Plan was told of each port
	plan      error
	admit     error
	expel     error
}

func newFake() *fake {
	return &fake{on: map[string]string{}, namespace: map[string]string{}, familiar: map[string]bool{}}
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) Plan(p lease.Port, options map[string]string) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.familiar[p.Key] = p.Familiar
	return map[string]string{"port": p.Key, "option": options["o"]}, f.plan
}

func (f *fake) Admit(_ context.Context, p lease.Port) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.NetworkNamespace != "" {
		f.namespace[p.Key], _ = os.Readlink(p.NetworkNamespace)
	}
	if f.admit == nil {
		f.on[p.Key] = p.Owner
	}
	return f.admit
}

func (f *fake) Expel(_ context.Context, p lease.Port) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expels++
	if f.expel == nil {
		delete(f.on, p.Key)
	}
	return f.expel
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.expels
}

func (f *fake) ports() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]string{}
	for k, v := range f.on {
		out[k] = v
	}
	return out
}

var realization = lease.Realization{
	IPv4Subnet: netip.MustParsePrefix("10.0.0.0/29"), IPv4Gateway: netip.MustParseAddr("10.0.0.1"),
	IPv6Subnet: netip.MustParsePrefix("fd00::/64"), IPv6Gateway: netip.MustParseAddr("fd00::1"),
	MTU: 1500,
}

func open(t testing.TB, directory string, n lease.Network, r lease.Realization) *lease.Table {
	t.Helper()
	table, err := lease.NewTable(lease.Config{Directory: directory, Log: slog.New(slog.DiscardHandler), Notify: func() {}, Used: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(table.Close)
	table.Open(&lease.Opened{Network: n, ID: "0123456789abcdef", Name: "net", Realization: r})
	return table
}

func allocate(t testing.TB, table *lease.Table, key string, wish resource.AttachmentConfiguration) lease.Lease {
	t.Helper()
	l, err := table.Allocate(context.Background(), key, "box-"+key, wish)
	if err != nil {
		t.Fatalf("allocate %s: %v", key, err)
	}
	return l
}

func hold(t testing.TB, table *lease.Table, peer int, keys ...string) *lease.Hold {
	t.Helper()
	h, err := table.Hold(context.Background(), keys, "", peer)
	if err != nil {
		t.Fatalf("hold %q: %v", keys, err)
	}
	return h
}

// over returns what a hold was ended with, once it was.
func over(h *lease.Hold) error {
	with := make(chan error, 1)
	h.OnOver(func(err error) { with <- err })
	return <-with
}

// states returns key=state of all leases.
func states(table *lease.Table) map[string]resource.LeaseState {
	out := map[string]resource.LeaseState{}
	for l := range table.All() {
		out[l.Key] = l.State
	}
	return out
}

func want(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantError(t testing.TB, err, kind error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want a %v", err, kind)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
}

func TestAllocateAnswersTheWish(t *testing.T) {
	t.Parallel()
	r := realization
	r.Routes = []resource.Route{{Destination: netip.MustParsePrefix("10.9.0.0/16"), Gateway: netip.MustParseAddr("10.0.0.2")}}
	r.DNS = resource.DNSConfiguration{Search: []string{"example"}}
	table := open(t, t.TempDir(), newFake(), r)
	got := allocate(t, table, "a/0", resource.AttachmentConfiguration{
		Hostname: "web", Aliases: []string{"www"}, InterfaceName: "lan0", GatewayPriority: 7, Options: map[string]string{"o": "x"},
	})
	want(t, "attachment", got.Attachment, resource.Attachment{
		NetworkID: "0123456789abcdef", Network: "net", Hostname: "web", Aliases: []string{"www"}, InterfaceName: "lan0", GatewayPriority: 7,
		IPv4Address: netip.MustParsePrefix("10.0.0.2/29"), IPv4Gateway: r.IPv4Gateway,
		IPv6Address: netip.MustParsePrefix("fd00::2/64"), IPv6Gateway: r.IPv6Gateway,
		MACAddress: macaddress.Stable("0123456789abcdef", "address", "10.0.0.2"), MTU: 1500, Routes: r.Routes, DNS: r.DNS,
	})
	want(t, "additional data", string(got.AdditionalData), `{"option":"x","port":"a/0"}`)
	want(t, "state", got.State, resource.LeasePending)
	again := allocate(t, table, "a/0", resource.AttachmentConfiguration{})
	want(t, "same key", again.Attachment, got.Attachment)
	hold(t, table, 1, "a/0")
	want(t, "same key, held", allocate(t, table, "a/0", resource.AttachmentConfiguration{}).Attachment, got.Attachment)
}

// One port more than the network can have is refused, and takes nothing; a place
// that is given back can be had.
func TestAllocateAtMost(t *testing.T) {
	t.Parallel()
	r := realization
	r.MaxPorts = 2
	network := newFake()
	table := open(t, t.TempDir(), network, r)
	allocate(t, table, "a", resource.AttachmentConfiguration{})
	allocate(t, table, "b", resource.AttachmentConfiguration{})
	allocate(t, table, "b", resource.AttachmentConfiguration{}) // the same again
	_, err := table.Allocate(context.Background(), "c", "box-c", resource.AttachmentConfiguration{})
	if !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "network net: has 2 containers") {
		t.Errorf("a third port: %v", err)
	}
	if left := len(slices.Collect(table.All())); left != 2 {
		t.Errorf("%d leases, want 2", left)
	}
	if err := table.Release(context.Background(), "a", false); err != nil {
		t.Fatal(err)
	}
	allocate(t, table, "c", resource.AttachmentConfiguration{})
}

func TestAllocateReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	table := open(t, t.TempDir(), newFake(), realization)
	first := allocate(t, table, "a/0", resource.AttachmentConfiguration{MACAddress: "02:00:00:00:00:01"})
	for name, tt := range map[string]struct {
		wish  resource.AttachmentConfiguration
		kind  error
		parts []string
	}{
		"taken": {
			resource.AttachmentConfiguration{
				IPv4Address: first.Attachment.IPv4Address.Addr(), IPv6Address: first.Attachment.IPv6Address.Addr(), MACAddress: "02:00:00:00:00:01",
			},
			errdefs.ErrAlreadyExists,
			[]string{"address 10.0.0.2", "address fd00::2", "mac address 02:00:00:00:00:01", "container box-a/0", "network net"},
		},
		"unfit": {
			resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.1"), IPv6Address: netip.MustParseAddr("fd01::5"), MTU: 9000},
			errdefs.ErrInvalidArgument,
			[]string{"10.0.0.1: is the gateway", "fd01::5: not in the subnet fd00::/64", "mtu 9000: network net carries 1280 to 1500"},
		},
		"broadcast": {resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.7")}, errdefs.ErrInvalidArgument, []string{"10.0.0.7", "broadcast"}},
		"small mtu": {resource.AttachmentConfiguration{MTU: 600}, errdefs.ErrInvalidArgument, []string{"mtu 600"}},
		"bad mac":   {resource.AttachmentConfiguration{MACAddress: "01:00:00:00:00:01"}, errdefs.ErrInvalidArgument, []string{"multicast"}},
	} {
		_, err := table.Allocate(t.Context(), "b/0", "box-b", tt.wish)
		t.Log(name, err)
		wantError(t, err, tt.kind, tt.parts...)
	}
	if _, err := table.Allocate(t.Context(), "../b", "", resource.AttachmentConfiguration{}); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("got %v for a key that climbs", err)
	}
	want(t, "leases", states(table), map[string]resource.LeaseState{"a/0": resource.LeasePending})
	want(t, "next address", allocate(t, table, "b/0", resource.AttachmentConfiguration{}).Attachment.IPv4Address.String(), "10.0.0.3/29")
}

func TestFamiliesThatANetworkLacks(t *testing.T) {
	t.Parallel()
	r := lease.Realization{IPv6Subnet: realization.IPv6Subnet}
	table := open(t, t.TempDir(), newFake(), r)
	got := allocate(t, table, "a/0", resource.AttachmentConfiguration{}).Attachment
	if got.IPv4Address.IsValid() || got.IPv6Address.String() != "fd00::1/64" || got.MTU != 0 {
		t.Errorf("got %+v, want an IPv6 address only", got)
	}
	_, err := table.Allocate(t.Context(), "b/0", "", resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.9")})
	wantError(t, err, errdefs.ErrInvalidArgument, "network net has no ipv4 subnet")

	layer2 := open(t, t.TempDir(), newFake(), lease.Realization{})
	if got := allocate(t, layer2, "a/0", resource.AttachmentConfiguration{}).Attachment; got.IPv4Address.IsValid() || got.IPv6Address.IsValid() || got.MACAddress == "" {
		t.Errorf("got %+v, want a MAC only", got)
	}
}

func TestFailedPlanLeavesNothing(t *testing.T) {
	t.Parallel()
	n, directory := newFake(), t.TempDir()
	table := open(t, directory, n, realization)
	n.plan = errdefs.ErrInvalidArgument
	_, err := table.Allocate(t.Context(), "a/0", "", resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.5")})
	wantError(t, err, errdefs.ErrInvalidArgument, "network net")
	n.plan = nil
	want(t, "leases", states(table), map[string]resource.LeaseState{})
	if u := table.Usage(); u.Leases != 0 || u.IPv4.InUse != 0 || u.IPv4.Total != 5 {
		t.Errorf("got %+v, want 0 of 5 in use", u)
	}
	if files, _ := os.ReadDir(directory); len(files) != 0 {
		t.Errorf("got %v, want no file", files)
	}
	got := allocate(t, table, "b/0", resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.5"), MACAddress: macaddress.Stable("0123456789abcdef", "address", "10.0.0.2")})
	want(t, "address", got.Attachment.IPv4Address.String(), "10.0.0.5/29")
}

func TestUnheldAllocationExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, directory := newFake(), t.TempDir()
		table := open(t, directory, n, realization)
		got := allocate(t, table, "a/0", resource.AttachmentConfiguration{})
		want(t, "expiry", got.ExpiresAt, time.Now().Add(30*time.Second))
		time.Sleep(29 * time.Second)
		synctest.Wait()
		want(t, "leases", states(table), map[string]resource.LeaseState{"a/0": resource.LeasePending})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want(t, "leases", states(table), map[string]resource.LeaseState{})
		want(t, "expels of a port that never was", n.count(), 0)
		other := allocate(t, table, "b/0", resource.AttachmentConfiguration{})
		want(t, "address of another", other.Attachment.IPv4Address.String(), "10.0.0.3/29")
		want(t, "same address again", allocate(t, table, "a/0", resource.AttachmentConfiguration{}).Attachment, got.Attachment)
	})
}

func TestPortLeavesBeforeItsAddressIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newFake()
		table := open(t, t.TempDir(), n, realization)
		got := allocate(t, table, "a/0", resource.AttachmentConfiguration{})
		h := hold(t, table, 1, "a/0")
		want(t, "ports", n.ports(), map[string]string{"a/0": "box-a/0"})
		n.set(func() { n.expel = errdefs.ErrInternal })
		table.LetGo(h)
		time.Sleep(time.Minute)
		synctest.Wait()
		want(t, "leases", states(table), map[string]resource.LeaseState{"a/0": resource.LeaseOrphaned})
		if n.count() < 5 || n.count() > 20 {
			t.Errorf("got %d tries in a minute, want a back-off", n.count())
		}
		if troubles := table.Troubles(); len(troubles) != 1 || !strings.Contains(troubles[0], "box-a/0") {
			t.Errorf("got %q, want the container named", troubles)
		}
		_, err := table.Allocate(t.Context(), "b/0", "", resource.AttachmentConfiguration{IPv4Address: got.Attachment.IPv4Address.Addr()})
		wantError(t, err, errdefs.ErrAlreadyExists, "box-a/0")
		_, err = table.Allocate(t.Context(), "a/0", "", resource.AttachmentConfiguration{})
		wantError(t, err, errdefs.ErrUnavailable, "a/0")
		wantError(t, table.Release(t.Context(), "a/0", true), errdefs.ErrUnavailable, "a/0")

		n.set(func() { n.expel = nil })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		want(t, "leases", states(table), map[string]resource.LeaseState{})
		want(t, "troubles", table.Troubles(), []string(nil))
		want(t, "ports", n.ports(), map[string]string{})
	})
}

func TestHoldIsAllOrNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newFake()
		table := open(t, t.TempDir(), n, realization)
		allocate(t, table, "a/0", resource.AttachmentConfiguration{})
		for _, keys := range [][]string{{"a/0", "b/0"}, {}, {"a/0", "a/0"}} {
			if _, err := table.Hold(t.Context(), keys, "", 1); err == nil {
				t.Errorf("%q: held", keys)
			}
		}
		_, err := table.Hold(t.Context(), []string{"b/0"}, "", 1)
		wantError(t, err, errdefs.ErrNotFound, "lease b/0", "network net")
		allocate(t, table, "b/0", resource.AttachmentConfiguration{})
		n.admit = errdefs.ErrInternal
		_, err = table.Hold(t.Context(), []string{"a/0", "b/0"}, "", 1)
		wantError(t, err, errdefs.ErrInternal, "a/0")
		n.admit = nil
		_, err = table.Hold(t.Context(), []string{"a/0", "b/0"}, "/nowhere", 1)
		wantError(t, err, errdefs.ErrInvalidArgument, "/nowhere")
		want(t, "leases", states(table), map[string]resource.LeaseState{"a/0": resource.LeasePending, "b/0": resource.LeasePending})
		want(t, "ports", n.ports(), map[string]string{})
		time.Sleep(31 * time.Second)
		synctest.Wait()
		want(t, "leases", states(table), map[string]resource.LeaseState{})
	})
}

func TestNamespaceIsOpenWhileHeld(t *testing.T) {
	t.Parallel()
	n := newFake()
	table := open(t, t.TempDir(), n, realization)
	namespace := filepath.Join(t.TempDir(), "netns")
	if err := os.WriteFile(namespace, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	allocate(t, table, "a/0", resource.AttachmentConfiguration{})
	if _, err := table.Hold(t.Context(), []string{"a/0"}, namespace, 1); err != nil {
		t.Fatal(err)
	}
	if n.namespace["a/0"] != namespace {
		t.Errorf("got %q, want %q", n.namespace["a/0"], namespace)
	}
	if err := table.OnPort("a/0", func(p lease.Port) error { _, err := os.Stat(p.NetworkNamespace); return err }); err != nil {
		t.Error(err)
	}
}

func TestSandboxThatDialsAgainWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newFake()
		table := open(t, t.TempDir(), n, realization)
		allocate(t, table, "a/0", resource.AttachmentConfiguration{})
		stale := hold(t, table, 7, "a/0")
		fresh := hold(t, table, 7, "a/0")
		wantError(t, over(stale), errdefs.ErrAborted, "held by another stream")
		table.LetGo(stale)
		synctest.Wait()
		want(t, "leases", states(table), map[string]resource.LeaseState{"a/0": resource.LeaseHeld})
		want(t, "expels", n.count(), 0)
		table.LetGo(fresh)
		synctest.Wait()
		want(t, "leases", states(table), map[string]resource.LeaseState{})
	})
}

func TestAnotherSandboxWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newFake()
		table := open(t, t.TempDir(), n, realization)
		got := allocate(t, table, "a/0", resource.AttachmentConfiguration{})
		first := hold(t, table, 1, "a/0")
		_, err := table.Hold(t.Context(), []string{"a/0"}, "", 2)
		wantError(t, err, errdefs.ErrFailedPrecondition, "process 1")

		go func() { // the news of the first one's death comes late
			time.Sleep(time.Second)
			table.LetGo(first)
		}()
		hold(t, table, 2, "a/0")
		want(t, "expels", n.count(), 1)
		want(t, "ports", n.ports(), map[string]string{"a/0": "box-a/0"})
		want(t, "lease", slices.Collect(table.All())[0].Attachment, got.Attachment)
		want(t, "state", slices.Collect(table.All())[0].State, resource.LeaseHeld)
	})
}

func TestReleaseIsRefusedWhileHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := open(t, t.TempDir(), newFake(), realization)
		allocate(t, table, "a/0", resource.AttachmentConfiguration{})
		h := hold(t, table, 1, "a/0")
		wantError(t, table.Release(t.Context(), "a/0", true), errdefs.ErrFailedPrecondition, "a/0", "box-a/0")
		go func() {
			time.Sleep(time.Second)
			table.LetGo(h)
		}()
		if err := table.Release(t.Context(), "a/0", true); err != nil {
			t.Errorf("got %v, want it to wait for a stream that ends", err)
		}
		if err := table.Release(t.Context(), "unknown/0", true); err != nil {
			t.Errorf("got %v for a key without a lease", err)
		}
	})
}

func TestForgetDropsAllOfAKey(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	table := open(t, directory, newFake(), realization)
	reserve := lease.Reservation{Key: "a/0", Owner: "box-a", Addresses: pool.Addresses{
		IPv4: netip.MustParseAddr("10.0.0.5"), IPv6: netip.MustParseAddr("fd00::5"), MAC: "02:00:00:00:00:05",
	}}
	if err := table.Reserve(reserve); err != nil {
		t.Fatal(err)
	}
	allocate(t, table, "a/0", resource.AttachmentConfiguration{})
	if err := table.Release(t.Context(), "a/0", true); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(directory, "a*")); len(files) != 0 {
		t.Errorf("got %v, want no file", files)
	}
	reserve.Key = "b/0"
	if err := table.Reserve(reserve); err != nil {
		t.Errorf("got %v, want the addresses to be free", err)
	}
}

func TestReservationsAreRespected(t *testing.T) {
	t.Parallel()
	directory, n := t.TempDir(), newFake()
	table := open(t, directory, n, realization)
	reserve := lease.Reservation{Key: "a/0", Owner: "box-a", Addresses: pool.Addresses{IPv4: netip.MustParseAddr("10.0.0.2"), MAC: "02:00:00:00:00:05"}}
	if err := errors.Join(table.Reserve(reserve), table.Reserve(reserve)); err != nil {
		t.Fatal(err)
	}
	want(t, "another's address", allocate(t, table, "b/0", resource.AttachmentConfiguration{}).Attachment.IPv4Address.String(), "10.0.0.3/29")
	for _, tt := range []lease.Reservation{
		{Key: "c/0", Addresses: pool.Addresses{IPv4: netip.MustParseAddr("10.0.0.2")}},
		{Key: "c/0", Addresses: pool.Addresses{MAC: "02:00:00:00:00:05"}},
	} {
		wantError(t, table.Reserve(tt), errdefs.ErrAlreadyExists, "container box-a")
	}
	table.Close()
	table = open(t, directory, n, realization)
	wantError(t, table.Reserve(lease.Reservation{Key: "c/0", Addresses: pool.Addresses{IPv4: netip.MustParseAddr("10.0.0.2")}}), errdefs.ErrAlreadyExists)
	got := allocate(t, table, "a/0", resource.AttachmentConfiguration{}).Attachment
	want(t, "own address", got.IPv4Address.String(), "10.0.0.2/29")
	want(t, "own mac", got.MACAddress, resource.MACAddress("02:00:00:00:00:05"))

	err := table.ReplaceReservations([]lease.Reservation{
		{Key: "d/0", Owner: "box-d", Addresses: pool.Addresses{IPv4: netip.MustParseAddr("10.0.0.6")}},
		{Key: "e/0", Owner: "box-e", Addresses: pool.Addresses{IPv4: netip.MustParseAddr("10.7.0.6")}},
	})
	wantError(t, err, errdefs.ErrInvalidArgument, "box-e", "10.7.0.6")
	wantError(t, table.Reserve(lease.Reservation{Key: "c/0", Addresses: pool.Addresses{IPv4: netip.MustParseAddr("10.0.0.6")}}), errdefs.ErrAlreadyExists, "box-d")
	if err := table.Release(t.Context(), "a/0", false); err != nil {
		t.Fatal(err)
	}
	if err := table.Reserve(lease.Reservation{Key: "c/0", Addresses: pool.Addresses{IPv4: netip.MustParseAddr("10.0.0.2")}}); err != nil {
		t.Errorf("got %v, want the dropped reservation to be free", err)
	}
}

func TestRestartKeepsLeasesForTheirSandboxes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		directory, n := t.TempDir(), newFake()
		table := open(t, directory, n, realization)
		a := allocate(t, table, "a/0", resource.AttachmentConfiguration{Hostname: "a"})
		allocate(t, table, "b/0", resource.AttachmentConfiguration{})
		allocate(t, table, "c/0", resource.AttachmentConfiguration{})
		hold(t, table, 1, "a/0")
		hold(t, table, 2, "b/0")
		table.Close() // streams that end now are not lost ones

		table = open(t, directory, n, realization)
		want(t, "leases", states(table), map[string]resource.LeaseState{
			"a/0": resource.LeaseOrphaned, "b/0": resource.LeaseOrphaned, "c/0": resource.LeasePending,
		})
		want(t, "names still answer", len(table.ByName("A")), 1)
		_, err := table.Allocate(t.Context(), "d/0", "", resource.AttachmentConfiguration{IPv4Address: a.Attachment.IPv4Address.Addr()})
		wantError(t, err, errdefs.ErrAlreadyExists, "box-a/0")
		hold(t, table, 1, "a/0")
		want(t, "expels", n.count(), 0)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		want(t, "leases", states(table), map[string]resource.LeaseState{"a/0": resource.LeaseHeld, "c/0": resource.LeasePending})
		want(t, "ports", n.ports(), map[string]string{"a/0": "box-a/0"})
		want(t, "lease", slices.Collect(table.All())[0].Attachment, a.Attachment)
		time.Sleep(26 * time.Second)
		synctest.Wait()
		want(t, "leases", states(table), map[string]resource.LeaseState{"a/0": resource.LeaseHeld})
	})
}

func TestGraceRunsOnlyOnceTheNetworkIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		directory, n := t.TempDir(), newFake()
		table := open(t, directory, n, realization)
		allocate(t, table, "a/0", resource.AttachmentConfiguration{})
		hold(t, table, 1, "a/0")
		table.Close()

		table, err := lease.NewTable(lease.Config{Directory: directory, Log: slog.New(slog.DiscardHandler), Notify: func() {}, Used: func() {}})
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		want(t, "leases", states(table), map[string]resource.LeaseState{"a/0": resource.LeaseOrphaned})
		_, err = table.Hold(t.Context(), []string{"a/0"}, "", 1)
		wantError(t, err, errdefs.ErrUnavailable, "not started")
		table.Open(&lease.Opened{Network: n, ID: "0123456789abcdef", Name: "net", Realization: realization})
		hold(t, table, 1, "a/0")
	})
}

func TestAllocateWaitsForAnOrphan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		directory, n := t.TempDir(), newFake()
		table := open(t, directory, n, realization)
		before := allocate(t, table, "a/0", resource.AttachmentConfiguration{})
		hold(t, table, 1, "a/0")
		table.Close()
		table = open(t, directory, n, realization)
		after := allocate(t, table, "a/0", resource.AttachmentConfiguration{}) // its sandbox never comes back
		want(t, "attachment", after.Attachment, before.Attachment)
		want(t, "ports", n.ports(), map[string]string{})
	})
}

func TestLookup(t *testing.T) {
	t.Parallel()
	table := open(t, t.TempDir(), newFake(), realization)
	allocate(t, table, "a/0", resource.AttachmentConfiguration{Hostname: "web", Aliases: []string{"www", "Shop"}})
	allocate(t, table, "b/0", resource.AttachmentConfiguration{Aliases: []string{"www"}})
	allocate(t, table, "c/0", resource.AttachmentConfiguration{Aliases: []string{"www"}}) // not live
	hold(t, table, 1, "a/0")
	hold(t, table, 2, "b/0")
	for name, n := range map[string]int{"WEB": 1, "www": 2, "shop": 1, "box-B/0": 1, "": 0, "ww": 0} {
		if got := table.ByName(name); len(got) != n {
			t.Errorf("%q: got %v, want %d", name, got, n)
		}
	}
	for address, n := range map[string]int{"10.0.0.2": 1, "fd00::3": 1, "10.0.0.4": 0} {
		if got := table.ByAddress(netip.MustParseAddr(address)); len(got) != n {
			t.Errorf("%s: got %v, want %d", address, got, n)
		}
	}
	if got := table.ByAddress(netip.Addr{}); got != nil {
		t.Errorf("got %v for no address", got)
	}
}

// All leases are told by owner, each as it is then, and whoever is told them may use the table.
func TestAll(t *testing.T) {
	t.Parallel()
	table := open(t, t.TempDir(), newFake(), realization)
	for _, key := range []string{"c/0", "a/1", "b/0", "a/0", "d/0"} {
		if _, err := table.Allocate(context.Background(), key, "owner-"+string('z'-key[0]+'a'), resource.AttachmentConfiguration{}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for l := range table.All() {
		if got = append(got, l.Key); l.Key == "c/0" {
			if err := table.Release(context.Background(), "b/0", false); err != nil {
				t.Fatal(err)
			}
		}
	}
	want(t, "keys", got, []string{"d/0", "c/0", "a/0", "a/1"})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	directory, n := t.TempDir(), newFake()
	table := open(t, directory, n, realization)
	allocate(t, table, "a/0", resource.AttachmentConfiguration{})
	h := hold(t, table, 1, "a/0")
	wantError(t, table.Drain(false), errdefs.ErrFailedPrecondition, "box-a/0")
	if err := table.Drain(true); err != nil {
		t.Fatal(err)
	}
	wantError(t, over(h), errdefs.ErrAborted, "ended")
	want(t, "ports", n.ports(), map[string]string{})
	_, err := table.Allocate(t.Context(), "b/0", "", resource.AttachmentConfiguration{})
	wantError(t, err, errdefs.ErrFailedPrecondition, "being deleted")
	if err := table.Reset(); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(directory); len(files) != 0 {
		t.Errorf("got %v, want no file", files)
	}
}

func TestDamagedFilesAreNamed(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"a%2F0.json": `{`, "b%2F0.json": `{"key":"c/0"}`} {
		directory := t.TempDir()
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := lease.NewTable(lease.Config{Directory: directory, Log: slog.New(slog.DiscardHandler), Notify: func() {}, Used: func() {}})
		wantError(t, err, errdefs.ErrDataLoss, name)
	}
}

// What a table is told of keys that it does not know is theirs again, and nobody
// else's while there is another address; of keys that it knows it knows better.
func TestRemember(t *testing.T) {
	t.Parallel()
	table := open(t, t.TempDir(), newFake(), realization)
	allocate(t, table, "known/0", resource.AttachmentConfiguration{}) // 10.0.0.2
	addresses := func(v4, v6 string) pool.Addresses {
		return pool.Addresses{IPv4: netip.MustParseAddr(v4), IPv6: netip.MustParseAddr(v6)}
	}
	table.Remember([]lease.Reservation{
		{Key: "a/0", Addresses: addresses("10.0.0.4", "fd00::9")},
		{Key: "b/0", Addresses: addresses("10.0.0.2", "fd01::1")}, // used, and outside
		{Key: "known/0", Addresses: addresses("10.0.0.5", "fd00::5")},
		{Key: "\n"},
	})
	for _, tt := range []struct{ key, v4 string }{{"c/0", "10.0.0.3"}, {"d/0", "10.0.0.5"}, {"a/0", "10.0.0.4"}, {"known/0", "10.0.0.2"}} {
		a := allocate(t, table, tt.key, resource.AttachmentConfiguration{}).Attachment
		if a.IPv4Address.Addr().String() != tt.v4 {
			t.Errorf("%s: got %v, want %s", tt.key, a.IPv4Address, tt.v4)
		}
		if tt.key == "a/0" && a.IPv6Address.Addr().String() != "fd00::9" {
			t.Errorf("%s: got %v, want what it had", tt.key, a.IPv6Address)
		}
	}
}

// A lease that has become free stays as it was in its file for a moment: a process
// that dies meanwhile leaves one that its successor takes off and frees, to which the
// addresses belong still. Before somebody else gets these, it is written.
func TestFreedIsWrittenBeforeItsAddressesAreGivenAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		directory, f := t.TempDir(), newFake()
		table := open(t, directory, f, realization)
		first := allocate(t, table, "a", resource.AttachmentConfiguration{})
		table.LetGo(hold(t, table, 1, "a"))
		synctest.Wait()

		died := t.TempDir() // what a process finds that comes after one that died now
		if err := os.CopyFS(died, os.DirFS(directory)); err != nil {
			t.Fatal(err)
		}
		successor := open(t, died, newFake(), realization)
		want(t, "states after a death", states(successor), map[string]resource.LeaseState{"a": resource.LeaseOrphaned})
		again := allocate(t, successor, "a", resource.AttachmentConfiguration{}) // waits for the grace
		want(t, "addresses after a death", again.Attachment.IPv4Address, first.Attachment.IPv4Address)

		static := resource.AttachmentConfiguration{IPv4Address: first.Attachment.IPv4Address.Addr()}
		allocate(t, table, "b", static)
		hold(t, table, 2, "b")
		given := t.TempDir()
		if err := os.CopyFS(given, os.DirFS(directory)); err != nil {
			t.Fatal(err)
		}
		want(t, "states after the addresses were given away", states(open(t, given, newFake(), realization)),
			map[string]resource.LeaseState{"b": resource.LeaseOrphaned})
	})
}

// A process that is killed takes the leases along that nobody held yet, and leaves nothing that
// could be taken for one: neither a file of a lease that the key had before, with other
// addresses, nor its address.
func TestDeathBeforeHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		table := open(t, directory, newFake(), realization)
		allocate(t, table, "a", resource.AttachmentConfiguration{})
		table.LetGo(hold(t, table, 1, "a"))
		synctest.Wait()
		other := resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.5")}
		allocate(t, table, "a", other)
		fresh := allocate(t, table, "b", resource.AttachmentConfiguration{})

		died := t.TempDir()
		if err := os.CopyFS(died, os.DirFS(directory)); err != nil {
			t.Fatal(err)
		}
		successor := open(t, died, newFake(), realization)
		_, err := successor.Hold(t.Context(), []string{"b"}, "", 1)
		wantError(t, err, errdefs.ErrNotFound, "allocate it first")
		static := resource.AttachmentConfiguration{IPv4Address: fresh.Attachment.IPv4Address.Addr()}
		allocate(t, successor, "c", static)
		hold(t, successor, 1, "a")
		for l := range successor.All() {
			if l.Key == "a" && l.Attachment.IPv4Address.Addr() != other.IPv4Address {
				t.Errorf("the lease has %v, want the address of the last one, %v", l.Attachment.IPv4Address, other.IPv4Address)
			}
		}
	})
}

// What is forgotten at once is never written.
func TestFreedIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		table := open(t, directory, newFake(), realization)
		allocate(t, table, "a", resource.AttachmentConfiguration{})
		allocate(t, table, "b", resource.AttachmentConfiguration{})
		table.LetGo(hold(t, table, 1, "a", "b"))
		synctest.Wait()
		if err := table.Release(t.Context(), "a", true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // of the bubble: until what is put off is done
		entries, err := os.ReadDir(directory)
		if err != nil || len(entries) != 1 || entries[0].Name() != "b.json" {
			t.Errorf("files %v, %v, want that of b alone", entries, err)
		}
		want(t, "states after a restart", states(open(t, directory, newFake(), realization)), map[string]resource.LeaseState{})
	})
}
