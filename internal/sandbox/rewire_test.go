package sandbox

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/sandbox/hold/holdtest"
	"patchbay.dev/patchbay/internal/sandbox/names"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/resource"
)

// liveEngine is a fakeEngine that is a Rewirer too.
type liveEngine struct {
	*fakeEngine
	interfaces []string
	addresses  []string // in the files
	hosts      []names.HostEntry
	reached    chan struct{}
	hold       chan struct{} // Rewire waits for it; nil: it does not
}

func (e *liveEngine) Rewire(_ context.Context, _, to []wiring.Interface) error {
	if err := e.call("rewire"); err != nil {
		return err
	}
	if e.hold != nil {
		close(e.reached)
		<-e.hold
	}
	e.interfaces = nil
	for _, i := range to {
		e.interfaces = append(e.interfaces, i.Name)
	}
	return nil
}

func (e *liveEngine) Rewrite(c Configuration) error {
	if err := e.call("rewrite"); err != nil {
		return err
	}
	e.addresses, e.hosts = nil, c.ExtraHosts
	for _, a := range c.Attachments {
		e.addresses = append(e.addresses, a.IPv4Address.Addr().String())
	}
	return nil
}

// newLive returns a running sandbox on network "a" by eth0.
func newLive(t *testing.T) (*Sandbox, *liveEngine, *holdtest.Plugins) {
	t.Helper()
	s, fake, plugins := newFake(t)
	e := &liveEngine{fakeEngine: fake, reached: make(chan struct{})}
	s.config.Engine = func(string, string) (Engine, error) { return e, nil }
	c := bootstrapped(fake.dir)
	c.Start = true
	if _, err := s.Bootstrap(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return s, e, plugins
}

func oneMore(network, interfaceName, address string) resource.AllocatedAttachment {
	return resource.AllocatedAttachment{
		Attachment: resource.Attachment{Network: network, InterfaceName: interfaceName, IPv4Address: netip.MustParsePrefix(address)},
		Strategy:   "describe",
		Lease:      resource.LeaseReference{Key: "id/" + interfaceName, Socket: network},
	}
}

func interfacesOf(all []resource.Attachment) string {
	var names []string
	for _, a := range all {
		names = append(names, a.InterfaceName)
	}
	return strings.Join(names, " ")
}

func TestConnectAndDisconnect(t *testing.T) {
	t.Parallel()
	s, e, plugins := newLive(t)
	ctx := t.Context()
	for _, network := range []string{"b", "c"} {
		all, err := s.Connect(ctx, oneMore(network, "eth-"+network, "10.0.0.7/24"))
		if network == "c" {
			if !errors.Is(err, errdefs.ErrAlreadyExists) {
				t.Errorf("an address that is there already: %v", err)
			}
			continue
		}
		if err != nil || interfacesOf(all) != "eth0 eth-b" {
			t.Fatalf("Connect = %v, %v", all, err)
		}
	}
	if !plugins.Holds("b") || plugins.Holds("c") {
		t.Error("want the lease of b held, and none asked for on c")
	}
	if diff := cmp.Diff([]string{"eth0", "eth-b"}, e.interfaces); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
	if _, err := s.Disconnect(ctx, "eth7"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("an interface that is not there: %v", err)
	}
	all, err := s.Disconnect(ctx, "eth0")
	if err != nil || interfacesOf(all) != "eth-b" || interfacesOf(s.Status().Attachments) != "eth-b" {
		t.Errorf("Disconnect = %v, %v; status %+v", all, err, s.Status())
	}
	if plugins.Holds("a") || !plugins.Holds("b") {
		t.Error("want the lease of a let go and that of b held")
	}
	if all, err = s.Disconnect(ctx, "eth-b"); err != nil || len(all) != 0 || len(e.addresses) != 0 {
		t.Errorf("the last one: %v, %v, files with %v", all, err, e.addresses)
	}
	e.main.end(0)
	<-s.Done()
	if _, err := s.Connect(ctx, oneMore("b", "eth1", "10.0.0.7/24")); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("Connect after the end: %v", err)
	}
}

// TestHostNamesFollow: the files say what a network that goes takes with it.
func TestHostNamesFollow(t *testing.T) {
	t.Parallel()
	s, e, _ := newLive(t)
	s.design.hosts = []resource.ExtraHost{{Name: "db", Address: netip.MustParseAddr("192.0.2.7")}, {Name: "up"}} // newLive has no gateway to begin with
	if _, err := s.Disconnect(t.Context(), "eth0"); err != nil || len(e.hosts) != 1 || e.hosts[0].Names[0] != "db" {
		t.Errorf("without a network: %v, %v", e.hosts, err)
	}
}

// TestChangeFails: whatever fails, interfaces, files and leases are as before.
func TestChangeFails(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"hold", "rewire", "rewrite"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s, e, plugins := newLive(t)
			if step == "hold" {
				plugins.SetDown("b", errFake)
			} else {
				e.fail = step
			}
			if _, err := s.Connect(t.Context(), oneMore("b", "eth1", "10.0.0.7/24")); !errors.Is(err, errFake) {
				t.Errorf("Connect: %v", err)
			}
			if step != "hold" {
				if _, err := s.Disconnect(t.Context(), "eth0"); !errors.Is(err, errFake) {
					t.Errorf("Disconnect: %v", err)
				}
			}
			if got := interfacesOf(s.Status().Attachments); got != "eth0" || slices.Contains(e.addresses, "10.0.0.7") {
				t.Errorf("attachments %q, addresses in files %v, want those before", got, e.addresses)
			}
			if plugins.Holds("b") {
				t.Error("the lease of b is still held")
			}
			if !plugins.Holds("a") {
				t.Error("the lease of a is lost")
			}
		})
	}
}

// TestEndDuringChange: the sandbox is taken down after a change of its interfaces,
// and none begins any more.
func TestEndDuringChange(t *testing.T) {
	t.Parallel()
	s, e, plugins := newLive(t)
	e.hold = make(chan struct{})
	changed := make(chan error, 1)
	go func() {
		_, err := s.Connect(context.Background(), oneMore("b", "eth1", "10.0.0.7/24"))
		changed <- err
	}()
	<-e.reached
	e.main.end(0)
	<-s.life.Done()
	if _, err := s.Disconnect(t.Context(), "eth0"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("another change: %v", err)
	}
	close(e.hold)
	if err := <-changed; err != nil {
		t.Errorf("the change: %v", err)
	}
	<-s.Done()
	if plugins.Holds("b") {
		t.Error("the lease of b is still held")
	}
	if calls := e.calls; calls[len(calls)-1] != "destroy" {
		t.Errorf("calls = %v, want destroy last", calls)
	}
}

// A waiting plugin does not hold the end of the sandbox up.
func TestEndDuringHold(t *testing.T) {
	t.Parallel()
	s, e, plugins := newLive(t)
	plugins.Silence("b")
	changed := make(chan error, 1)
	go func() {
		_, err := s.Connect(context.Background(), oneMore("b", "eth1", "10.0.0.7/24"))
		changed <- err
	}()
	e.main.end(0)
	if err := <-changed; err == nil {
		t.Error("Connect worked though the plugin was silent")
	}
	<-s.Done()
}

func TestRuntimeWithoutChanges(t *testing.T) {
	t.Parallel()
	s, e, _ := newFake(t)
	if _, err := s.Bootstrap(t.Context(), bootstrapped(e.dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Connect(t.Context(), oneMore("b", "eth1", "10.0.0.7/24")); !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("Connect: %v", err)
	}
	if _, err := s.Disconnect(t.Context(), "eth0"); !errors.Is(err, errdefs.ErrNotImplemented) {
		t.Errorf("Disconnect: %v", err)
	}
}
