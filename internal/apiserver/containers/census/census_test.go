package census_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/apiserver/containers/census"
	"patchbay.dev/patchbay/internal/apiserver/containers/record"
	"patchbay.dev/patchbay/internal/apiserver/containers/stored"
	"patchbay.dev/patchbay/resource"
)

// population has containers that nobody changes.
type population struct {
	known []resource.Container
	kept  []*stored.Container
}

func (p population) Known() []resource.Container { return p.known }

func (p population) EachKept(f func(*stored.Container)) {
	for _, c := range p.kept {
		f(c)
	}
}

func TestCensus(t *testing.T) {
	t.Parallel()
	keep := func(name, digest string, networks ...resource.AttachmentConfiguration) *stored.Container {
		return stored.New(nil, record.Container{
			Metadata:      resource.Metadata{ID: "id-" + name, Name: name},
			Configuration: resource.ContainerConfiguration{ImageDigest: digest, Networks: networks},
		})
	}
	running := func(name string, pid int) resource.Container {
		c := resource.Container{Metadata: resource.Metadata{Name: name}}
		c.Configuration.Runtime = "oci"
		c.Status = resource.ContainerStatus{State: resource.ContainerRunning, HelperPID: pid}
		return c
	}
	ended := resource.Container{Status: resource.ContainerStatus{State: resource.ContainerStopped}}
	address := netip.MustParseAddr("10.0.0.7")
	c := census.Census{Of: population{
		known: []resource.Container{running("b", 7), ended, running("starting", 0)},
		kept: []*stored.Container{
			keep("b", "one", resource.AttachmentConfiguration{Network: "x"}, resource.AttachmentConfiguration{Network: "y", IPv4Address: address}),
			keep("a", "two", resource.AttachmentConfiguration{Network: "y"}, resource.AttachmentConfiguration{Network: "y", IPv4Address: address.Next()}),
			keep("c", "one"),
		},
	}}
	if up, down := c.Count(); up != 2 || down != 1 {
		t.Errorf("%d run, %d do not, want 2, 1", up, down)
	}
	if diff := cmp.Diff(map[string][]resource.PluginInstance{"oci": {{Resource: "b", PID: 7, State: "running"}}}, c.Instances()); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, c.ContainersOn("y")); diff != "" {
		t.Errorf("on y, each once (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b", "c"}, c.ContainersUsing("one")); diff != "" {
		t.Errorf("of the image (-want +got):\n%s", diff)
	}
	if all := c.Reservations("y"); len(all) != 2 || all[0].Configuration.IPv4Address != address || all[1].Owner != "a" {
		t.Errorf("reservations on y: %+v, want those of b and a with addresses", all)
	}
	if all := c.Reservations("x"); len(all) > 0 {
		t.Errorf("reservations on x: %+v, want none", all)
	}
}
