package networks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/rpc"
)

// The test binary is the plugin as well: started by the code under test it has
// a network's id in its environment.
func TestMain(m *testing.M) {
	if id := os.Getenv("PATCHBAY_NETWORK_ID"); id != "" {
		fakePlugin(id, strings.TrimPrefix(filepath.Base(os.Args[0]), "patchbay-network-"))
		return
	}
	goleak.VerifyTestMain(m)
}

// fakePlugin behaves as its name says. What a network makes on the host is a
// file below the run root here.
func fakePlugin(id, behaviour string) {
	if behaviour == "dies" {
		fmt.Fprintln(os.Stderr, "no such parent: eth7")
		os.Exit(3)
	}
	listener, err := rpc.InheritedListener()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if behaviour == "garbage" {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, "what?")
			c.Close()
		}
	}
	p := &fake{behaviour: behaviour, id: id, host: filepath.Join(os.Getenv(layout.RunRootVariable), "host"), stopped: make(chan struct{}), late: make(chan struct{})}
	_ = rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) { pluginv1connect.RegisterNetworkPluginServiceHandler(s, p) },
		Log:      slog.New(slog.DiscardHandler),
	}).Serve(listener)
}

type fake struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
	behaviour, id, host string
	starting            atomic.Bool   // a late start is on its way
	stopped             chan struct{} // closed by its stop
	late                chan struct{} // closed when it has ended after that
}

func (p *fake) object() string { return filepath.Join(p.host, p.id) }

func (p *fake) Hello(ctx context.Context, _ *pluginv1.HelloRequest) (*pluginv1.HelloResponse, error) {
	switch p.behaviour {
	case "hangs":
		<-ctx.Done()
		return nil, ctx.Err()
	case "newer":
		return &pluginv1.HelloResponse{MinProtocol: 7, MaxProtocol: 9}, nil
	}
	return &pluginv1.HelloResponse{MinProtocol: 1, MaxProtocol: 1, Name: p.behaviour}, nil
}

func (p *fake) Start(ctx context.Context, r *pluginv1.StartRequest) (*pluginv1.StartResponse, error) {
	if p.behaviour == "gated" {
		if err := p.pass("start"); err != nil {
			return nil, err
		}
	}
	if p.behaviour == "refuses" {
		return nil, fmt.Errorf("option %q: want \"parent\": %w", "colour", errdefs.ErrInvalidArgument)
	}
	status := p.choose(r.GetConfiguration())
	data, err := json.Marshal(status)
	if err != nil {
		return nil, err
	}
	if gate, err := os.OpenFile(filepath.Join(p.host, "be-late"), os.O_WRONLY, 0); err == nil {
		p.starting.Store(true)
		if err := errors.Join(os.Remove(gate.Name()), gate.Close()); err != nil {
			return nil, err
		}
		defer close(p.late)
		<-p.stopped
	}
	if err := errors.Join(os.MkdirAll(p.host, 0o700), os.WriteFile(p.object(), data, 0o600)); err != nil {
		return nil, err
	}
	switch p.behaviour {
	case "diesinstart":
		fmt.Fprintln(os.Stderr, "out of bridges")
		os.Exit(4)
	case "hangsinstart":
		return nil, p.pass("hang")
	case "nonsense":
		status.Ipv4Subnet = "ten dot something"
	case "stubborn":
		status.Ipv4Subnet = "10.200.0.0/24"
	}
	return &pluginv1.StartResponse{Status: status}, nil
}

// pass tells that it is at a gate, a FIFO, and waits until somebody opens it.
func (p *fake) pass(gate string) error {
	arrivals, err := os.OpenFile(p.host+"-at-"+gate, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := arrivals.Write([]byte{1}); err != nil {
		return err
	}
	open, err := os.Open(p.host + "-gate-" + gate)
	return errors.Join(err, open.Close(), arrivals.Close())
}

// choose takes the first subnet that is not in use, so that creations at the
// same moment collide.
func (p *fake) choose(c *pluginv1.NetworkConfiguration) *pluginv1.NetworkStatus {
	subnet := c.GetIpv4Subnet()
	for i := 0; subnet == ""; i++ {
		candidate := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, byte(i), 0}), 24)
		free := true
		for _, used := range c.GetUsedPrefixes() {
			free = free && !netip.MustParsePrefix(used.GetPrefix()).Overlaps(candidate)
		}
		if free {
			subnet = candidate.String()
		}
	}
	return &pluginv1.NetworkStatus{
		State: pluginv1.NetworkState_NETWORK_STATE_READY, Ipv4Subnet: subnet, Ipv6Subnet: c.GetIpv6Subnet(), Mtu: 1500, AddressesTotal: 253,
	}
}

func (p *fake) Status(context.Context, *pluginv1.StatusRequest) (*pluginv1.StatusResponse, error) {
	var status pluginv1.NetworkStatus
	data, err := os.ReadFile(p.object())
	if err == nil {
		err = json.Unmarshal(data, &status)
	}
	if p.behaviour == "counts" || p.behaviour == "tells" {
		return &pluginv1.StatusResponse{Status: &status, Revision: 1}, errors.Join(err, p.noteQuestion())
	}
	return &pluginv1.StatusResponse{Status: &status}, err
}

// noteQuestion makes the file of questions a byte longer.
func (p *fake) noteQuestion() error {
	f, err := os.OpenFile(p.host+"-questions-"+p.id, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte{'?'})
	return errors.Join(err, f.Close())
}

// Watch tells of one revision, by a message that shows that it was told; "tells" says that it would tell of others.
func (p *fake) Watch(ctx context.Context, _ *pluginv1.WatchRequest, stream pluginv1connect.NetworkPluginServiceWatchServerStream) error {
	if p.behaviour != "counts" && p.behaviour != "tells" {
		return errdefs.ErrNotImplemented
	}
	answer, err := p.Status(ctx, nil)
	if err != nil {
		return err
	}
	answer.Status.Message = "told"
	if err := stream.Send(&pluginv1.WatchResponse{Status: answer.GetStatus(), Revision: 1, All: p.behaviour == "tells"}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p *fake) Stop(context.Context, *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	if p.behaviour == "gated" {
		if err := p.pass("stop"); err != nil {
			return nil, err
		}
	}
	if p.behaviour == "keeps" {
		return nil, fmt.Errorf("bridge is stuck: %w", errdefs.ErrFailedPrecondition)
	}
	if err := os.Remove(p.object()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if p.starting.Load() {
		close(p.stopped)
		<-p.late
	}
	return &pluginv1.StopResponse{}, nil
}

func (p *fake) Allocate(_ context.Context, r *pluginv1.AllocateRequest) (*pluginv1.AllocateResponse, error) {
	fuse := filepath.Join(p.host, "die-in-allocate")
	if os.Remove(fuse) == nil {
		os.Exit(5)
	}
	if _, err := os.Stat(p.object() + "-taken"); err == nil {
		return nil, errors.Join(fmt.Errorf("10.200.0.2 is web's: %w", errdefs.ErrAlreadyExists), p.noteQuestion())
	}
	if r.GetConfiguration().GetHostname() == "nonsense" {
		return &pluginv1.AllocateResponse{Attachment: &typesv1.Attachment{Ipv4Address: "x"}}, nil
	}
	var after *pluginv1.StatusResponse
	if p.behaviour == "tells" {
		after = &pluginv1.StatusResponse{Status: &pluginv1.NetworkStatus{
			State: pluginv1.NetworkState_NETWORK_STATE_READY, AddressesInUse: 7, AddressesTotal: 253, Mtu: 1500,
		}, Revision: 2}
	}
	return &pluginv1.AllocateResponse{
		After:          after,
		Attachment:     &typesv1.Attachment{Ipv4Address: "10.200.0.2/24", MacAddress: "02:00:00:00:00:02"},
		AdditionalData: []byte(`{"bridge":"b"}`),
	}, nil
}

func (p *fake) List(context.Context, *pluginv1.ListRequest) (*pluginv1.ListResponse, error) {
	return &pluginv1.ListResponse{Leases: []*pluginv1.Lease{{
		Key: "0123456789abcdef/0", Owner: "web", State: pluginv1.LeaseState_LEASE_STATE_HELD,
		Attachment: &typesv1.Attachment{Ipv4Address: "10.200.0.2/24"},
	}}}, nil
}
