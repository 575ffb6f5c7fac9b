package metrics

import (
	"context"
	"errors"
	"log/slog"
	"math"

	"patchbay.dev/patchbay/internal/apiserver/networks"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/resource"
)

// world is services that know what a test says.
type world struct {
	containers []resource.Container
	networks   []networks.Observation
	images     []resource.Image // nil: cannot be read
	stats      []resource.ContainerStats
	hang       bool // networks do not answer until they may not any longer
}

func (w *world) Known() []resource.Container { return w.containers }

func (w *world) Stats(_ context.Context, names []string, runningOnly bool) ([]resource.ContainerStats, error) {
	if names != nil || !runningOnly {
		return nil, errors.New("want all that run")
	}
	return w.stats, nil
}

func (w *world) Observe(ctx context.Context) []networks.Observation {
	if w.hang {
		<-ctx.Done()
	}
	return w.networks
}

func (w *world) List(context.Context) ([]resource.Image, error) {
	if w.images == nil {
		return nil, errors.New("cannot be read")
	}
	return w.images, nil
}

func (w *world) metrics() *Metrics {
	return New(Config{
		Containers: w, Networks: w, Images: w, DefaultRuntime: "oci", Version: "1.2.3", Revision: "abc",
		Log: slog.New(slog.DiscardHandler),
	})
}

func container(name, runtime string, state resource.ContainerState, helper int) resource.Container {
	return resource.Container{
		Metadata:      resource.Metadata{Name: name},
		Configuration: resource.ContainerConfiguration{Runtime: runtime},
		Status:        resource.ContainerStatus{State: state, HelperPID: helper},
	}
}

func network(name, plugin string, s resource.NetworkStatus) resource.Network {
	return resource.Network{
		Metadata:      resource.Metadata{Name: name},
		Configuration: resource.NetworkConfiguration{Plugin: resource.PluginInfo{Plugin: plugin}},
		Status:        s,
	}
}

// busyWorld has one of each.
func busyWorld() *world {
	dual := resource.NetworkStatus{
		State:         resource.NetworkReady,
		IPv4Addresses: resource.AddressUsage{InUse: 2, Total: 253},
		IPv6Addresses: resource.AddressUsage{InUse: 3, Total: math.MaxUint64},
	}
	v6, lan, dead, mute := dual, dual, dual, dual
	v6.IPv4Addresses = resource.AddressUsage{}
	lan.IPv4Addresses, lan.IPv6Addresses = resource.AddressUsage{}, resource.AddressUsage{}
	dead.State, mute.State = resource.NetworkFailed, resource.NetworkDegraded
	return &world{
		containers: []resource.Container{
			container("a", "oci", resource.ContainerRunning, 11),
			container("b", "oci", resource.ContainerRunning, 12),
			container("c", "vm", resource.ContainerStopping, 13),
			container("d", "vm", resource.ContainerStarting, 0),
			container("e", "oci", resource.ContainerStopped, 0),
		},
		networks: []networks.Observation{
			{Network: &snapshot.Of[resource.Network]{Value: network("default", "bridge", dual)}, Answered: true},
			{Network: &snapshot.Of[resource.Network]{Value: network("six", "bridge", v6)}, Answered: true, Restarts: 1},
			{Network: &snapshot.Of[resource.Network]{Value: network("lan", "macvlan", lan)}, Answered: true},
			{Network: &snapshot.Of[resource.Network]{Value: network("dead", "macvlan", dead)}, Restarts: 7},
			{Network: &snapshot.Of[resource.Network]{Value: network("mute", "bridge", mute)}},
		},
		stats: []resource.ContainerStats{
			{Name: "a", Sample: resource.Sample{
				CPU:       &resource.CPUUse{UsedNanoseconds: 1_500_000_000, ThrottledNanoseconds: 250_000_000},
				Memory:    &resource.MemoryUse{UsedBytes: 4096, CacheBytes: 1024, LimitBytes: 1 << 30},
				Processes: &resource.ProcessUse{Count: 3},
				Block:     &resource.BlockUse{ReadBytes: 512, WrittenBytes: 1024, Reads: 1, Writes: 2},
				Attachments: []resource.AttachmentTraffic{
					{Network: "default", InterfaceName: "eth0", Received: &resource.Traffic{Bytes: 10, Packets: 1, Errors: 2, Dropped: 3}, Sent: &resource.Traffic{Bytes: 20, Packets: 4, Errors: 5, Dropped: 6}},
					{Network: "default", InterfaceName: "eth1", Received: &resource.Traffic{}, Sent: &resource.Traffic{Bytes: 7, Packets: 1}},
					{Network: "lan", InterfaceName: "eth2"}, // is gone
				},
			}},
			{Name: "b", Sample: resource.Sample{Memory: &resource.MemoryUse{UsedBytes: 1}}}, // a kernel that counts little
			{Name: "c", Fault: "its runtime helper does not answer"},
		},
		images: []resource.Image{
			{Status: resource.ImageStatus{SizeBytes: 1000, UnpackedBytes: 3000}},
			{Status: resource.ImageStatus{SizeBytes: 500, UnpackedBytes: 600}},
		},
	}
}
