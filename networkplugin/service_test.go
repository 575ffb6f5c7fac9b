package networkplugin

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/lease"
	"patchbay.dev/patchbay/resource"
)

const testID = "0123456789abcdef"

// plain is a network in memory with the mandatory methods alone.
type plain struct {
	mu       sync.Mutex
	calls    []string
	startErr error
	stopErr  error
	given    Configuration // to the last Start
}

func (p *plain) did(call string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, call)
}

func (p *plain) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.calls, " ")
}

func (p *plain) Start(_ context.Context, c Configuration) (Realization, error) {
	p.did("start")
	p.given = c
	if p.startErr != nil {
		return Realization{}, p.startErr
	}
	v4 := c.IPv4Subnet
	if !v4.IsValid() {
		v4 = netip.MustParsePrefix("10.0.0.0/24")
	}
	return Realization{IPv4Subnet: v4, IPv4Gateway: v4.Addr().Next(), MTU: 1500}, nil
}

func (p *plain) Plan(Port, map[string]string) (any, error) { return struct{}{}, nil }
func (p *plain) Admit(_ context.Context, port Port) error  { p.did("admit:" + port.Key); return nil }

func (p *plain) Expel(_ context.Context, port Port) error { p.did("expel:" + port.Key); return nil }

func (p *plain) Stop(_ context.Context, remove bool) error {
	if remove {
		p.did("remove")
	} else {
		p.did("leave")
	}
	return p.stopErr
}

// able has all optional interfaces too.
type able struct {
	plain
	reports  chan func(report func(resource.NetworkState, string))
	warnings chan []string
}

func (a *able) Check(context.Context) []string { return []string{"a fault"} }

func (a *able) Update(_ context.Context, c Configuration) (Realization, error) {
	a.did("update")
	return Realization{IPv4Subnet: c.IPv4Subnet, IPv4Gateway: c.IPv4Subnet.Addr().Next(), MTU: c.MTU}, nil
}

func (a *able) Watch(ctx context.Context, report func(resource.NetworkState, string)) {
	for {
		select {
		case f := <-a.reports:
			f(report)
		case <-ctx.Done():
			a.did("unwatched")
			return
		}
	}
}

func (a *able) Warn(ctx context.Context, report func([]string)) {
	for {
		select {
		case w := <-a.warnings:
			report(w)
		case <-ctx.Done():
			return
		}
	}
}

func (a *able) Publish(_ context.Context, p Port, ports []resource.PublishedPort) ([]resource.PublishedPort, error) {
	a.did("publish:" + p.Key)
	ports[0].HostPort = 32768
	return ports, nil
}

func (a *able) Unpublish(_ context.Context, p Port) error { a.did("unpublish:" + p.Key); return nil }

func (a *able) Attach(_ context.Context, p Port, name string) (resource.Attachment, error) {
	a.did("attach:" + p.Key + ":" + name + ":" + p.NetworkNamespace)
	return p.Attachment, nil
}

func (a *able) Detach(_ context.Context, p Port, name string) error {
	a.did("detach:" + p.Key + ":" + name)
	return nil
}

// serve takes up the directory with a network.
func serve(t *testing.T, directory string, n Network) *harness {
	t.Helper()
	s, err := newService(t.Context(), serviceConfig{
		Plugin:    Plugin{Name: "test", New: func(Configuration) (Network, error) { return n, nil }},
		NetworkID: testID, Directory: directory, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &harness{service: s}
}

func start(t *testing.T, h *harness, change func(*pluginv1.NetworkConfiguration), reservations ...*pluginv1.Reservation) (*pluginv1.NetworkStatus, error) {
	t.Helper()
	c := &pluginv1.NetworkConfiguration{Id: testID, Name: "net", Variant: "v"}
	if change != nil {
		change(c)
	}
	r, err := h.Start(t.Context(), &pluginv1.StartRequest{Configuration: c, Reservations: reservations})
	return r.GetStatus(), err
}

// held allocates a key and holds it.
func held(t *testing.T, h *harness, key string) *lease.Hold {
	t.Helper()
	if _, err := h.Allocate(t.Context(), &pluginv1.AllocateRequest{Key: key, Owner: "box"}); err != nil {
		t.Fatal(err)
	}
	hold, err := h.service.table.Hold(t.Context(), []string{key}, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	return hold
}

// awaitOver returns when a hold was ended from the plugin's side.
func awaitOver(h *lease.Hold) {
	over := make(chan struct{})
	h.OnOver(func(error) { close(over) })
	<-over
}

func closed(t *testing.T, h *harness) {
	t.Helper()
	if err := h.service.close(); err != nil {
		t.Error(err)
	}
}

func state(t *testing.T, h *harness) (pluginv1.NetworkState, string) {
	t.Helper()
	r, err := h.Status(t.Context(), &pluginv1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetStatus().GetState(), r.GetStatus().GetMessage()
}

func wantCalls(t *testing.T, p *plain, want string) {
	t.Helper()
	if got := p.log(); got != want {
		t.Errorf("got calls %q, want %q", got, want)
	}
}

func TestEndOfTheProcessTakesNobodyOff(t *testing.T) {
	t.Parallel()
	directory, n := t.TempDir(), &plain{}
	h := serve(t, directory, n)
	if _, err := start(t, h, nil); err != nil {
		t.Fatal(err)
	}
	hold := held(t, h, "a/0")
	service := h.service
	follower := follower{ // hears of the end as the handler of the stream does
		send: func(resource.NetworkStatus, uint64) error { return nil },
		end:  func(error) { service.table.LetGo(hold) },
	}
	service.follow(&follower)
	closed(t, h)
	next := &plain{}
	h = serve(t, directory, next)
	defer closed(t, h)
	wantCalls(t, n, "start admit:a/0 leave")
	wantCalls(t, next, "start")
	if got := next.given; got.IPv4Subnet.String() != "10.0.0.0/24" || len(got.Ports) != 1 || got.Ports[0].Key != "a/0" || got.Name != "net" || got.Log == nil {
		t.Errorf("got %+v, want the pinned subnet and the port in it", got)
	}
}

func TestFailedStartIsToldAndTriedAgain(t *testing.T) {
	t.Parallel()
	n := &plain{startErr: errdefs.ErrFailedPrecondition}
	h := serve(t, t.TempDir(), n)
	defer closed(t, h)
	if _, err := start(t, h, nil); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("got %v", err)
	}
	if got, message := state(t, h); got != pluginv1.NetworkState_NETWORK_STATE_FAILED || !strings.Contains(message, "failed precondition") {
		t.Errorf("got %v, %q, want failed and why", got, message)
	}
	if _, err := h.Allocate(t.Context(), &pluginv1.AllocateRequest{Key: "a/0"}); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	n.startErr = nil
	if status, err := start(t, h, nil); err != nil || status.GetState() != pluginv1.NetworkState_NETWORK_STATE_READY {
		t.Errorf("got %v, %v, want ready", status, err)
	}
	wantCalls(t, n, "start start")
}

func TestAnotherConfigurationAfterAFailedStart(t *testing.T) {
	t.Parallel()
	n := &plain{startErr: errdefs.ErrInternal}
	h := serve(t, t.TempDir(), n)
	defer closed(t, h)
	if _, err := start(t, h, nil); err == nil {
		t.Fatal("started")
	}
	n.startErr = nil
	if _, err := start(t, h, func(c *pluginv1.NetworkConfiguration) { c.Mtu = 1400 }); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, n, "start remove start")
	for name, change := range map[string]func(*pluginv1.NetworkConfiguration){
		"options": func(c *pluginv1.NetworkConfiguration) { c.Mtu, c.Options = 1400, map[string]string{"a": "b"} },
		"subnet":  func(c *pluginv1.NetworkConfiguration) { c.Mtu, c.Ipv4Subnet = 1400, "10.9.0.0/24" },
		"variant": func(c *pluginv1.NetworkConfiguration) { c.Mtu, c.Variant = 1400, "w" },
	} {
		if _, err := start(t, h, change); !errors.Is(err, errdefs.ErrFailedPrecondition) {
			t.Errorf("%s: got %v, want a change to be refused", name, err)
		}
	}
}

// A plugin that is killed in its first start can still take away what it made.
func TestStopAfterACrashInTheFirstStart(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	h := serve(t, directory, &plain{startErr: errdefs.ErrInternal})
	if _, err := start(t, h, nil); err == nil {
		t.Fatal("started")
	}
	closed(t, h)
	n := &plain{}
	h = serve(t, directory, n)
	defer closed(t, h)
	if _, err := h.Stop(t.Context(), &pluginv1.StopRequest{Delete: true}); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, n, "remove")
}

func TestFailedRemovalCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	n := &plain{}
	h := serve(t, t.TempDir(), n)
	defer closed(t, h)
	if _, err := start(t, h, nil); err != nil {
		t.Fatal(err)
	}
	hold := held(t, h, "a/0")
	n.stopErr = errdefs.ErrInternal
	if _, err := h.Stop(t.Context(), &pluginv1.StopRequest{Delete: true, Force: true}); err == nil {
		t.Error("got no error")
	}
	awaitOver(hold)
	n.stopErr = nil
	if _, err := h.Stop(t.Context(), &pluginv1.StopRequest{Delete: true}); err != nil {
		t.Error(err)
	}
	if _, err := h.Status(t.Context(), &pluginv1.StatusRequest{}); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("got %v, want not started", err)
	}
	wantCalls(t, n, "start admit:a/0 expel:a/0 remove remove")
}

func TestStopWithoutDeleteLeavesTheNetwork(t *testing.T) {
	t.Parallel()
	n := &plain{}
	h := serve(t, t.TempDir(), n)
	defer closed(t, h)
	if _, err := start(t, h, nil); err != nil {
		t.Fatal(err)
	}
	held(t, h, "a/0")
	if _, err := h.Stop(t.Context(), &pluginv1.StopRequest{}); err != nil {
		t.Fatal(err)
	}
	if got, message := state(t, h); got != pluginv1.NetworkState_NETWORK_STATE_FAILED || message != "stopped" {
		t.Errorf("got %v, %q", got, message)
	}
	if _, err := start(t, h, nil); err != nil {
		t.Fatal(err)
	}
	wantCalls(t, n, "start admit:a/0 leave start")
}

func TestReservationsThatDoNotFitDegrade(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir(), &plain{})
	defer closed(t, h)
	status, err := start(t, h, nil, &pluginv1.Reservation{Key: "a/0", Owner: "box", Ipv4Address: "10.7.0.1"})
	if err != nil || status.GetState() != pluginv1.NetworkState_NETWORK_STATE_DEGRADED || !strings.Contains(status.GetMessage(), "box") {
		t.Errorf("got %v, %v, want degraded", status, err)
	}
	if status, _ := start(t, h, nil); status.GetState() != pluginv1.NetworkState_NETWORK_STATE_READY {
		t.Errorf("got %v, want ready", status)
	}
}

func TestOptionalInterfaces(t *testing.T) {
	t.Parallel()
	n := &able{}
	h := serve(t, t.TempDir(), n)
	if _, err := start(t, h, nil); err != nil {
		t.Fatal(err)
	}
	hello, err := h.Hello(t.Context(), &pluginv1.HelloRequest{})
	if err != nil || strings.Join(hello.GetCapabilities(), " ") != "publish delegated" {
		t.Errorf("got %v, %v", hello, err)
	}
	if check, err := h.Check(t.Context(), &pluginv1.CheckRequest{}); err != nil || len(check.GetFaults()) != 1 {
		t.Errorf("got %v, %v", check, err)
	}
	ports := []*typesv1.PublishedPort{{Protocol: "tcp", ContainerPort: 80}}
	if _, err := h.Publish(t.Context(), &pluginv1.PublishRequest{Key: "a/0", Ports: ports}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("got %v for a key without a lease", err)
	}
	hold := held(t, h, "a/0")
	if r, err := h.Publish(t.Context(), &pluginv1.PublishRequest{Key: "a/0", Ports: ports}); err != nil || r.GetPorts()[0].GetHostPort() != 32768 {
		t.Errorf("got %v, %v", r, err)
	}
	attach, err := h.Attach(t.Context(), &pluginv1.AttachRequest{Key: "a/0", InterfaceName: "eth0", NetworkNamespace: "/ns"})
	if err != nil || attach.GetAttachment().GetIpv4Address() != "10.0.0.2/24" {
		t.Errorf("got %v, %v", attach, err)
	}
	if _, err := h.Detach(t.Context(), &pluginv1.DetachRequest{Key: "a/0", InterfaceName: "eth0"}); err != nil {
		t.Error(err)
	}
	if r, err := h.Update(t.Context(), &pluginv1.UpdateRequest{Configuration: &pluginv1.NetworkConfiguration{
		Id: testID, Name: "net", Variant: "v", Mtu: 1400,
	}}); err != nil || r.GetStatus().GetMtu() != 1400 || r.GetStatus().GetIpv4Subnet() != "10.0.0.0/24" {
		t.Errorf("got %v, %v", r, err)
	}
	h.service.table.LetGo(hold)
	awaitOver(hold)
	closed(t, h)
	wantCalls(t, &n.plain, "start admit:a/0 publish:a/0 attach:a/0:eth0:/ns detach:a/0:eth0 update unpublish:a/0 expel:a/0 unwatched leave")
}

func TestLackOfOptionalInterfaces(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir(), &plain{})
	defer closed(t, h)
	if _, err := start(t, h, nil); err != nil {
		t.Fatal(err)
	}
	held(t, h, "a/0")
	_, publish := h.Publish(t.Context(), &pluginv1.PublishRequest{Key: "a/0"})
	_, unpublish := h.Unpublish(t.Context(), &pluginv1.UnpublishRequest{Key: "a/0"})
	_, attach := h.Attach(t.Context(), &pluginv1.AttachRequest{Key: "a/0"})
	_, check := h.Check(t.Context(), &pluginv1.CheckRequest{})
	_, update := h.Update(t.Context(), &pluginv1.UpdateRequest{Configuration: &pluginv1.NetworkConfiguration{Id: testID, Name: "net", Variant: "v", Mtu: 1400}})
	for name, err := range map[string]error{"publish": publish, "unpublish": unpublish, "attach": attach, "check": check, "update": update} {
		if !errors.Is(err, errdefs.ErrNotImplemented) {
			t.Errorf("%s: got %v, want not implemented", name, err)
		}
	}
}

func TestStatusFollowsTheNetwork(t *testing.T) {
	t.Parallel()
	n := &able{reports: make(chan func(func(resource.NetworkState, string))), warnings: make(chan []string)}
	h := serve(t, t.TempDir(), n)
	defer closed(t, h)
	if _, err := start(t, h, nil); err != nil {
		t.Fatal(err)
	}
	news := follow(t, h)
	<-news
	n.reports <- func(report func(resource.NetworkState, string)) {
		report(resource.NetworkDegraded, "parent eth0: is down")
	}
	<-news
	if got, message := state(t, h); got != pluginv1.NetworkState_NETWORK_STATE_DEGRADED || message != "parent eth0: is down" {
		t.Errorf("got %v, %q", got, message)
	}
	n.warnings <- []string{"a route overlaps"}
	<-news
	answer, err := h.Status(t.Context(), &pluginv1.StatusRequest{})
	if got := answer.GetStatus().GetWarnings(); err != nil || len(got) != 1 || got[0] != "a route overlaps" {
		t.Errorf("got warnings %q, %v", got, err)
	}
}

// follow returns what a follower is told: at first, and then of changes.
func follow(t *testing.T, h *harness) <-chan uint64 {
	t.Helper()
	news := make(chan uint64, 10)
	h.service.follow(&follower{
		send: func(_ resource.NetworkStatus, revision uint64) error { news <- revision; return nil },
		end:  func(error) {},
	})
	return news
}

// What a call changes is told by its answer, and all else to followers.
func TestWhoIsToldOfUsage(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir(), &able{})
	defer closed(t, h)
	if _, err := start(t, h, nil); err != nil {
		t.Fatal(err)
	}
	news := follow(t, h)
	last := <-news
	for _, key := range []string{"a/0", "b/0"} {
		answer, err := h.Allocate(t.Context(), &pluginv1.AllocateRequest{Key: key, Owner: "box"})
		if err != nil {
			t.Fatal(err)
		}
		h.service.followers.telling.Wait()
		after := answer.GetAfter()
		if len(news) > 0 || after.GetRevision() <= last {
			t.Errorf("lease %s: %d news and revision %d, want a later revision than %d in the answer alone", key, len(news), after.GetRevision(), last)
		}
		asked, err := h.Status(t.Context(), &pluginv1.StatusRequest{})
		if err != nil || asked.GetRevision() != after.GetRevision() || asked.GetStatus().GetAddressesInUse() != after.GetStatus().GetAddressesInUse() {
			t.Errorf("lease %s: the answer tells %v, and then the status is %v, %v", key, after, asked, err)
		}
		last = after.GetRevision()
	}
	for name, change := range map[string]func(){
		"nobody called": h.service.used,
		"the call failed": func() {
			if _, err := h.changing(func() error { h.service.used(); return errdefs.ErrUnavailable }); err == nil {
				t.Error("the call did not fail")
			}
		},
	} {
		change()
		if told := <-news; told <= last {
			t.Errorf("%s: told of revision %d, want a later one than %d", name, told, last)
		}
	}
}

func TestChooseSubnetsOfAnAdoptedNetwork(t *testing.T) {
	t.Parallel()
	c := Configuration{ID: "a", IPv4Subnet: netip.MustParsePrefix("10.0.0.0/24"), IPv6Disabled: true}
	occupied := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	if _, _, err := ChooseSubnets(c, occupied); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("a new network: got %v, want the overlap", err)
	}
	c.Adopted = true
	if got, _, err := ChooseSubnets(c, occupied); got != c.IPv4Subnet || err != nil {
		t.Errorf("an adopted network: got %v, %v, want what it has", got, err)
	}
	c.Used = []UsedPrefix{{Network: "b", Prefix: c.IPv4Subnet}}
	if _, _, err := ChooseSubnets(c, nil); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("beside another network: got %v, want the overlap", err)
	}
}

func TestWrongAnswersOfAnAuthorAreTold(t *testing.T) {
	t.Parallel()
	r := Realization{
		IPv4Subnet: netip.MustParsePrefix("10.0.0.0/24"), IPv4Gateway: netip.MustParseAddr("10.0.1.1"),
		IPv6Subnet: netip.MustParsePrefix("fd00::/64"), MTU: 70000,
	}
	err := r.check(Configuration{Name: "net", IPv6Subnet: netip.MustParsePrefix("fd01::/64")})
	if !errors.Is(err, errdefs.ErrInternal) {
		t.Fatalf("got %v, want an internal error", err)
	}
	for _, part := range []string{"network net", "10.0.1.1", "fd01::/64 was given", "70000"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
}
