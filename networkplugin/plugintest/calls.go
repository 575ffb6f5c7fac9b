package plugintest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/resource"
)

// configuration is the network's, with changes.
func (p *Process) configuration(change func(*pluginv1.NetworkConfiguration)) *pluginv1.NetworkConfiguration {
	c := &pluginv1.NetworkConfiguration{
		Id: p.NetworkID, Name: "net-" + p.NetworkID[:4], Variant: p.config.Variant, Options: maps.Clone(p.config.Options),
	}
	if change != nil {
		change(c)
	}
	return c
}

func (p *Process) begin(t *testing.T, change func(*pluginv1.NetworkConfiguration), reservations ...*pluginv1.Reservation) (*pluginv1.NetworkStatus, error) {
	t.Helper()
	answer, err := p.client.Start(bounded(t), &pluginv1.StartRequest{Configuration: p.configuration(change), Reservations: reservations})
	return answer.GetStatus(), err
}

// mustBegin starts the network.
func (p *Process) mustBegin(t *testing.T, change func(*pluginv1.NetworkConfiguration), reservations ...*pluginv1.Reservation) *pluginv1.NetworkStatus {
	t.Helper()
	status, err := p.begin(t, change, reservations...)
	if err != nil {
		t.Fatalf("start: %v\nthe plugin wrote:\n%s", err, p.stderr)
	}
	return status
}

// started starts a process with a network.
func started(t *testing.T, c Config) *Process {
	t.Helper()
	p := start(t, c, resource.NewID())
	p.mustBegin(t, nil)
	t.Cleanup(func() { p.remove(t) })
	return p
}

// remove takes the network off the host, whatever a test left.
func (p *Process) remove(t *testing.T) {
	t.Helper()
	if p.command == nil {
		p.Restart(t)
	}
	if _, err := p.client.Stop(bounded(t), &pluginv1.StopRequest{Delete: true, Force: true}); err != nil {
		t.Errorf("stop with delete and force: %v", err)
	}
	if p.config.Residue != nil {
		for _, line := range p.config.Residue(t, p.NetworkID) {
			t.Errorf("left on the host: %s", line)
		}
	}
}

func (p *Process) allocate(t *testing.T, key string, wish *typesv1.AttachmentConfiguration) (*pluginv1.AllocateResponse, error) {
	t.Helper()
	return p.client.Allocate(bounded(t), &pluginv1.AllocateRequest{Key: key, Owner: owner(key), Configuration: wish})
}

func (p *Process) mustAllocate(t *testing.T, key string, wish *typesv1.AttachmentConfiguration) *pluginv1.AllocateResponse {
	t.Helper()
	answer, err := p.allocate(t, key, wish)
	if err != nil {
		t.Fatalf("allocate %s: %v", key, err)
	}
	return answer
}

// owner is the name of the container of a key.
func owner(key string) string { return "box-" + strings.TrimSuffix(key, "/0") }

// stream is a sandbox's hold.
type stream struct {
	end    func()
	closed chan struct{} // the plugin ended it, or it was lost
}

// hold opens a stream and waits for its confirmation.
func (p *Process) hold(t *testing.T, keys ...string) (*stream, error) {
	t.Helper()
	namespace := ""
	if p.config.NetworkNamespace != nil {
		namespace = p.config.NetworkNamespace(t)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	limit := time.AfterFunc(deadline, cancel)
	defer limit.Stop()
	answers, err := p.client.Hold(ctx, &pluginv1.HoldRequest{Keys: keys, NetworkNamespace: namespace})
	if err != nil {
		return nil, err
	}
	if _, err := answers.Receive(); err != nil {
		return nil, errors.Join(err, answers.Close())
	}
	s := &stream{closed: make(chan struct{})}
	s.end = func() {
		cancel()
		<-s.closed
	}
	go func() {
		defer close(s.closed)
		for {
			if _, err := answers.Receive(); err != nil {
				answers.Close()
				return
			}
		}
	}()
	return s, nil
}

func (p *Process) mustHold(t *testing.T, keys ...string) *stream {
	t.Helper()
	s, err := p.hold(t, keys...)
	if err != nil {
		t.Fatalf("hold %q: %v", keys, err)
	}
	return s
}

// states returns the state of every lease.
func (p *Process) states(t *testing.T) map[string]pluginv1.LeaseState {
	t.Helper()
	answer, err := p.client.List(bounded(t), &pluginv1.ListRequest{})
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	if !slices.IsSortedFunc(answer.GetLeases(), func(a, b *pluginv1.Lease) int { return cmp.Compare(a.GetOwner(), b.GetOwner()) }) {
		t.Errorf("leases %v: want them by owner", answer.GetLeases())
	}
	out := map[string]pluginv1.LeaseState{}
	for _, l := range answer.GetLeases() {
		out[l.GetKey()] = l.GetState()
	}
	return out
}

// freedLimit is when a lease is taken to stay for ever. The contract is 5 s on a
// machine that has time for the plugin, which one that runs tests may not have.
const freedLimit = 20 * time.Second

// freed waits until a key has no lease.
func (p *Process) freed(t *testing.T, key string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(freedLimit)
	for {
		if _, there := p.states(t)[key]; !there {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: has a lease %v after its sandbox was lost: %v", key, freedLimit, p.states(t))
		}
	}
}

func (p *Process) release(t *testing.T, key string, forget bool) error {
	t.Helper()
	_, err := p.client.Release(bounded(t), &pluginv1.ReleaseRequest{Key: key, Forget: forget})
	return err
}

func (p *Process) status(t *testing.T) *pluginv1.NetworkStatus {
	t.Helper()
	answer, err := p.client.Status(bounded(t), &pluginv1.StatusRequest{})
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	return answer.GetStatus()
}

// wantKind checks the kind of an error and what its one line must contain.
func wantKind(t *testing.T, what string, err, kind error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got %v, want %v", what, err, kind)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %q, want %q in it", what, err, part)
		}
	}
}

var errInvalid = errdefs.ErrInvalidArgument

// addressesOf returns what identifies an attachment on its network.
func addressesOf(a *typesv1.Attachment) string {
	return fmt.Sprintf("%s %s %s", a.GetIpv4Address(), a.GetIpv6Address(), a.GetMacAddress())
}

// other returns an address of the subnet that is rarely given out on its own.
func other(t *testing.T, subnet string, back int) string {
	t.Helper()
	prefix, err := netip.ParsePrefix(subnet)
	if err != nil {
		t.Fatal(err)
	}
	address := prefix.Addr()
	for range 200 - back {
		address = address.Next()
	}
	return address.String()
}
