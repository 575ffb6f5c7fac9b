package metrics

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"patchbay.dev/patchbay/internal/apiserver/networks"
	"patchbay.dev/patchbay/resource"
)

// The processes that are asked, as a label.
const (
	networkPlugin = "network-plugin"
	runtimeHelper = "runtime-helper"
)

// survey reads what the services know when it is collected.
type survey struct {
	config Config
	life   context.Context
}

var _ prometheus.Collector = (*survey)(nil)

// Describe implements prometheus.Collector.
func (s *survey) Describe(out chan<- *prometheus.Desc) {
	for _, x := range surveyed {
		out <- x.desc
	}
}

// Collect implements prometheus.Collector. What takes time is done at once.
func (s *survey) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(s.life, askTimeout)
	defer cancel()
	out <- buildInfo.of(1, s.config.Version, s.config.Revision)
	var asking sync.WaitGroup
	asking.Go(func() { tellNetworks(out, s.config.Networks.Observe(ctx)) })
	asking.Go(func() { s.tellUsage(ctx, out) })
	asking.Go(func() { s.tellContainers(out, s.config.Containers.Known()) })
	asking.Go(func() { s.tellImages(ctx, out) })
	asking.Wait()
}

// tally counts things by two words. Words that go together are shown with 0 as
// well, so that nobody has to tell "none" from "not known".
type tally map[[2]string]float64

func (t tally) tell(out chan<- prometheus.Metric, of *series) {
	for words, n := range t {
		out <- of.of(n, words[0], words[1])
	}
}

var containerStates = []resource.ContainerState{
	resource.ContainerCreated, resource.ContainerStarting, resource.ContainerRunning, resource.ContainerStopping, resource.ContainerStopped,
}

func (s *survey) tellContainers(out chan<- prometheus.Metric, all []resource.Container) {
	states, helpers := tally{}, map[string]float64{}
	admit := func(runtime string) {
		if _, ok := helpers[runtime]; ok {
			return
		}
		helpers[runtime] = 0
		for _, state := range containerStates {
			states[[2]string{runtime, string(state)}] = 0
		}
	}
	admit(s.config.DefaultRuntime)
	for _, c := range all {
		runtime := c.Configuration.Runtime
		admit(runtime)
		states[[2]string{runtime, string(c.Status.State)}]++
		if c.Status.HelperPID != 0 {
			helpers[runtime]++
		}
	}
	states.tell(out, containersByState)
	for runtime, n := range helpers {
		out <- runtimeHelpers.of(n, runtime)
	}
}

var networkStates = []resource.NetworkState{
	resource.NetworkStarting, resource.NetworkReady, resource.NetworkDegraded, resource.NetworkFailed,
}

func tellNetworks(out chan<- prometheus.Metric, all []networks.Observation) {
	states, silent := tally{}, 0
	for _, o := range all {
		n := &o.Network.Value
		plugin := n.Configuration.Plugin.Plugin
		for _, state := range networkStates {
			states[[2]string{plugin, string(state)}] += truth(state == n.Status.State)
		}
		out <- networkUp.of(truth(o.Answered && n.Status.Serves()), n.Name, plugin)
		out <- pluginRestarts.of(float64(o.Restarts), n.Name, plugin)
		switch {
		case o.Answered:
			tellAddresses(out, *n)
		case n.Status.Serves():
			silent++
		}
	}
	states.tell(out, networksByState)
	out <- unanswered.of(float64(silent), networkPlugin)
}

// tellAddresses says nothing of a family that the network has no addresses of.
func tellAddresses(out chan<- prometheus.Metric, n resource.Network) {
	for family, u := range map[string]resource.AddressUsage{"ipv4": n.Status.IPv4Addresses, "ipv6": n.Status.IPv6Addresses} {
		if u.Total > 0 {
			out <- addressesUsed.of(float64(u.InUse), n.Name, family)
			out <- addressesTotal.of(float64(u.Total), n.Name, family)
		}
	}
}

func (s *survey) tellImages(ctx context.Context, out chan<- prometheus.Metric) {
	all, err := s.config.Images.List(ctx)
	if err != nil {
		s.config.Log.Warn("images are left out of the metrics", "error", err)
		return
	}
	var blobs, layers float64
	for _, i := range all {
		blobs += float64(i.Status.SizeBytes)
		layers += float64(i.Status.UnpackedBytes)
	}
	out <- images.of(float64(len(all)))
	out <- imageBlobs.of(blobs)
	out <- imageLayers.of(layers)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
