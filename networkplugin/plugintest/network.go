package plugintest

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

func testHello(t *testing.T, c Config) {
	p := start(t, c, resource.NewID())
	answer, err := p.client.Hello(bounded(t), &pluginv1.HelloRequest{MinProtocol: networkplugin.Protocol, MaxProtocol: networkplugin.Protocol})
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetMinProtocol() > networkplugin.Protocol || answer.GetMaxProtocol() < networkplugin.Protocol {
		t.Errorf("got protocol %d to %d, want %d in it", answer.GetMinProtocol(), answer.GetMaxProtocol(), networkplugin.Protocol)
	}
	if answer.GetName() == "" || answer.GetVersion() == "" {
		t.Errorf("got name %q and version %q, want both", answer.GetName(), answer.GetVersion())
	}
}

func testNotStarted(t *testing.T, c Config) {
	p := start(t, c, resource.NewID())
	_, err := p.client.Status(bounded(t), &pluginv1.StatusRequest{})
	wantKind(t, "status", err, errdefs.ErrFailedPrecondition)
	if _, err = p.allocate(t, "a/0", nil); err == nil {
		t.Error("allocated on a network that is not started")
	}
	if _, err := p.client.Stop(bounded(t), &pluginv1.StopRequest{Delete: true}); err != nil {
		t.Errorf("stop of nothing: %v", err)
	}
}

func testStartIsIdempotent(t *testing.T, c Config) {
	p := started(t, c)
	first := p.status(t)
	if first.GetState() != pluginv1.NetworkState_NETWORK_STATE_READY {
		t.Errorf("got state %v, want ready", first.GetState())
	}
	if !c.Layer2 && first.GetIpv4Subnet()+first.GetIpv6Subnet() == "" {
		t.Error("got no subnet")
	}
	if again := p.mustBegin(t, nil); !reflect.DeepEqual(first, again) {
		t.Errorf("got %v, want %v again", again, first)
	}
	pinned := p.mustBegin(t, func(c *pluginv1.NetworkConfiguration) {
		c.Ipv4Subnet, c.Ipv6Subnet = first.GetIpv4Subnet(), first.GetIpv6Subnet()
	})
	if !reflect.DeepEqual(first, pinned) {
		t.Errorf("got %v with its own subnets given, want %v", pinned, first)
	}
	_, err := p.begin(t, func(c *pluginv1.NetworkConfiguration) { c.Id = resource.NewID() })
	wantKind(t, "start of another network", err, errInvalid)
}

func testRefusesUnknown(t *testing.T, c Config) {
	p := start(t, c, resource.NewID())
	t.Cleanup(func() { p.remove(t) })
	_, err := p.begin(t, func(c *pluginv1.NetworkConfiguration) {
		c.Options = map[string]string{"no-such-option": "x"}
		for key, value := range p.config.Options {
			c.Options[key] = value
		}
	})
	wantKind(t, "unknown option", err, errInvalid, "no-such-option")
	_, err = p.begin(t, func(c *pluginv1.NetworkConfiguration) { c.Variant = "no-such-variant" })
	wantKind(t, "unknown variant", err, errInvalid, "no-such-variant")
	p.mustBegin(t, nil) // a refusal does not spoil the process
}

func testRefusesSubnets(t *testing.T, c Config) {
	p := start(t, c, resource.NewID())
	t.Cleanup(func() { p.remove(t) })
	for subnet, kind := range map[string]error{
		"10.70.0.7/24":    errInvalid, // host bits
		"10.70.0.0/32":    errInvalid,
		"224.0.0.0/24":    errInvalid,
		"127.0.0.0/24":    errInvalid,
		"169.254.7.0/24":  errInvalid,
		"fd00:70::/64":    errInvalid, // the other family
		"10.70.128.0/24":  errdefs.ErrAlreadyExists,
		"10.70.0.0/16":    errdefs.ErrAlreadyExists,
		"10.70.128.64/26": errdefs.ErrAlreadyExists,
	} {
		_, err := p.begin(t, func(c *pluginv1.NetworkConfiguration) {
			c.Ipv4Subnet = subnet
			c.UsedPrefixes = []*pluginv1.NetworkPrefix{{Network: "elsewhere", Prefix: "10.70.128.0/24"}}
		})
		parts := []string{subnet}
		if errors.Is(kind, errdefs.ErrAlreadyExists) {
			parts = append(parts, "elsewhere", "10.70.128.0/24")
		}
		wantKind(t, subnet, err, kind, parts...)
	}
	status := p.mustBegin(t, func(c *pluginv1.NetworkConfiguration) {
		c.Ipv4Subnet, c.Ipv6Subnet = "10.70.1.0/24", "fd00:70:1::/64"
	})
	if status.GetIpv4Subnet() != "10.70.1.0/24" || status.GetIpv6Subnet() != "fd00:70:1::/64" {
		t.Errorf("got %v, want the given subnets", status)
	}
}

func testAvoidsUsed(t *testing.T, c Config) {
	p := start(t, c, resource.NewID())
	t.Cleanup(func() { p.remove(t) })
	chosen := p.mustBegin(t, nil)
	if _, err := p.client.Stop(bounded(t), &pluginv1.StopRequest{Delete: true}); err != nil {
		t.Fatal(err)
	}
	again := p.mustBegin(t, func(c *pluginv1.NetworkConfiguration) {
		for _, prefix := range []string{chosen.GetIpv4Subnet(), chosen.GetIpv6Subnet()} {
			if prefix != "" {
				c.UsedPrefixes = append(c.UsedPrefixes, &pluginv1.NetworkPrefix{Network: "elsewhere", Prefix: prefix})
			}
		}
	})
	if chosen.GetIpv4Subnet() != "" && chosen.GetIpv4Subnet() == again.GetIpv4Subnet() ||
		chosen.GetIpv6Subnet() != "" && chosen.GetIpv6Subnet() == again.GetIpv6Subnet() {
		t.Errorf("got %v, of which another network uses a part", again)
	}
}

func testWatch(t *testing.T, c Config) {
	p := started(t, c)
	stream, err := p.client.Watch(bounded(t), &pluginv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	first, err := stream.Receive()
	if err != nil || first.GetStatus().GetState() != pluginv1.NetworkState_NETWORK_STATE_READY {
		t.Errorf("got %v, %v, want ready", first, err)
	}
	if code := p.Terminate(t); code != 0 {
		t.Errorf("got exit code %d, want 0 though a stream is open", code)
	}
	for err == nil { // states that were sent before the end may still come
		_, err = stream.Receive()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("the stream outlived the process")
	}
}

func testStopLeavesNothing(t *testing.T, c Config) {
	p := started(t, c)
	if c.Residue != nil && len(c.Residue(t, p.NetworkID)) == 0 {
		t.Error("Residue sees nothing of a started network, so it would see nothing that is left")
	}
	p.mustAllocate(t, "a/0", nil)
	s := p.mustHold(t, "a/0")
	_, err := p.client.Stop(bounded(t), &pluginv1.StopRequest{Delete: true})
	wantKind(t, "stop of a network in use", err, errdefs.ErrFailedPrecondition, owner("a/0"))
	if got := p.states(t)["a/0"]; got != pluginv1.LeaseState_LEASE_STATE_HELD {
		t.Errorf("got lease state %v after a refused stop, want held", got)
	}
	p.remove(t)
	<-s.closed
	if got := p.states(t); len(got) != 0 {
		t.Errorf("got leases %v of a network that is gone", got)
	}
	p.remove(t) // twice does no harm
	p.mustBegin(t, nil)
}

func testStopAfterKill(t *testing.T, c Config) {
	p := started(t, c)
	p.mustAllocate(t, "a/0", nil)
	s := p.mustHold(t, "a/0")
	p.Kill(t)
	<-s.closed
	p.Restart(t)
	p.remove(t)
	p.Kill(t)
	p.Restart(t)
	if _, err := p.client.Status(bounded(t), &pluginv1.StatusRequest{}); err == nil {
		t.Error("got a status from a process whose network was deleted before")
	}
}

// What a plugin that counts has answered is right until it tells of a later revision, by Watch or by the answer to who
// has changed something.
func testWatchTellsWhatIsNew(t *testing.T, c Config) {
	p := started(t, c)
	stream, err := p.client.Watch(bounded(t), &pluginv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Receive(); err != nil {
		t.Fatal(err)
	}
	answer, err := p.client.Status(bounded(t), &pluginv1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetRevision() == 0 {
		t.Skip("the plugin does not count what changes")
	}
	before := answer.GetStatus().GetAddressesInUse()
	if after := p.mustAllocate(t, "a/0", nil).GetAfter(); after != nil {
		answer = after
	}
	answer = askAfterNews(t, p, stream, answer, func(inUse uint64) bool { return inUse > before })
	released, err := p.client.Release(bounded(t), &pluginv1.ReleaseRequest{Key: "a/0"})
	if err != nil {
		t.Fatal(err)
	}
	if after := released.GetAfter(); after != nil {
		answer = after
	}
	askAfterNews(t, p, stream, answer, func(inUse uint64) bool { return inUse == before })
}

// askAfterNews asks each time that the plugin tells of something later than the last answer,
// until as many addresses are in use as wanted.
func askAfterNews(t *testing.T, p *Process, stream pluginv1connect.NetworkPluginServiceWatchClientStream,
	last *pluginv1.StatusResponse, wanted func(inUse uint64) bool,
) *pluginv1.StatusResponse {
	t.Helper()
	for !wanted(last.GetStatus().GetAddressesInUse()) {
		told, err := stream.Receive()
		if err != nil {
			t.Fatalf("nothing was told of what is new after %v: %v", last, err)
		}
		if told.GetRevision() <= last.GetRevision() {
			continue // of before the answer
		}
		if last, err = p.client.Status(bounded(t), &pluginv1.StatusRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	return last
}
