package containers

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// Getter looks a container up.
type Getter interface {
	Get(context.Context, *apiserverv1.ContainerServiceGetRequest) (*apiserverv1.ContainerServiceGetResponse, error)
}

// Get returns the container of a name.
func Get(ctx context.Context, api Getter, name string) (resource.Container, error) {
	answer, err := api.Get(ctx, &apiserverv1.ContainerServiceGetRequest{Name: name})
	if err != nil {
		return resource.Container{}, err
	}
	return apiwire.ContainerFromProto(answer.GetContainer())
}

func newContainerTable() *output.Table {
	return output.NewTable("ID", "NAME", "IMAGE", "COMMAND", "STATE", "NETWORKS", "PORTS", "AGE")
}

// addContainer shows a container to people. It takes it as it comes: of a thousand, a command
// has the time to look at what it shows alone.
func addContainer(t *output.Table, c *apiserverv1.Container, now time.Time, whole bool) {
	of, configuration := c.GetMetadata(), c.GetConfiguration()
	ports, _ := wire.PublishedPortsFromProto(configuration.GetPorts()) // what makes no sense of one is left out
	t.Add(output.Short(of.GetId(), 16, whole), of.GetName(), output.Short(configuration.GetImage(), 40, whole),
		output.Short(quoteWords(configuration.GetProcess().GetArgs()), 30, whole), containerState(c.GetStatus(), whole),
		containerNetworks(c), output.Short(containerPorts(ports), 40, whole), output.Age(field.Instant(of.GetCreatedAt()), now))
}

func containerState(s *apiserverv1.ContainerStatus, whole bool) string {
	state := string(apiwire.ContainerStateFromProto(s.GetState()))
	if s.GetState() == apiserverv1.ContainerState_CONTAINER_STATE_STOPPED {
		state += " (" + strconv.Itoa(int(s.GetExitCode())) + ")"
	}
	if s.GetOutOfMemory() {
		state += ", out of memory"
	}
	notes := s.GetFaults()
	if s.GetMessage() != "" {
		notes = append([]string{s.GetMessage()}, notes...)
	}
	if len(notes) > 0 {
		state += ": " + output.Short(strings.Join(notes, "; "), 40, whole)
	}
	return state
}

// containerNetworks lists networks with the address on each, while there is
// one: "web=10.0.0.2,lan".
func containerNetworks(c *apiserverv1.Container) string {
	out := make([]byte, 0, 128) // mostly enough, and no memory of its own
	for i, a := range c.GetStatus().GetAttachments() {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, a.GetNetwork()...)
		if address, _, _ := strings.Cut(cmp.Or(a.GetIpv4Address(), a.GetIpv6Address()), "/"); address != "" {
			out = append(append(out, '='), address...)
		}
	}
	if len(out) > 0 {
		return string(out)
	}
	var names []string
	for _, n := range c.GetConfiguration().GetNetworks() {
		names = append(names, n.GetNetwork())
	}
	return strings.Join(names, ",")
}

// quoteWords joins words so that one can see where each ends.
func quoteWords(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n\"'\\") {
			out[i] = fmt.Sprintf("%q", w)
		}
	}
	return strings.Join(out, " ")
}
