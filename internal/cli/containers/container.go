package containers

import (
	"cmp"
	"context"
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

// containerTable shows containers to people, one after the other in the memory of the one before.
type containerTable struct {
	*output.Table
	now   time.Time
	whole bool // nothing is cut short
	ports []resource.PublishedPort
	text  []byte
}

func newContainerTable(now time.Time, whole bool) *containerTable {
	return &containerTable{Table: output.NewTable("ID", "NAME", "IMAGE", "COMMAND", "STATE", "NETWORKS", "PORTS", "AGE"), now: now, whole: whole}
}

// addContainer adds a container. It takes it as it comes: of a thousand, a command has the time to look at what it
// shows alone.
func (t *containerTable) addContainer(c *apiserverv1.Container) {
	of, configuration := c.GetMetadata(), c.GetConfiguration()
	output.ShortCell(t.Table, of.GetId(), 16, t.whole)
	output.Cell(t.Table, of.GetName())
	output.ShortCell(t.Table, configuration.GetImage(), 40, t.whole)
	t.text = appendQuoted(t.text[:0], configuration.GetProcess().GetArgs())
	output.ShortCell(t.Table, t.text, 30, t.whole)
	output.Cell(t.Table, containerState(c.GetStatus(), t.whole))
	t.text = appendNetworks(t.text[:0], c)
	output.Cell(t.Table, t.text)
	t.ports, _ = wire.AppendPublishedPorts(t.ports[:0], configuration.GetPorts()) // what makes no sense of one is left out
	t.text = appendPorts(t.text[:0], t.ports)
	output.ShortCell(t.Table, t.text, 40, t.whole)
	output.Cell(t.Table, output.Age(field.Instant(of.GetCreatedAt()), t.now))
	t.End()
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

// appendNetworks lists networks with the address on each, while there is
// one: "web=10.0.0.2,lan".
func appendNetworks(out []byte, c *apiserverv1.Container) []byte {
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
		return out
	}
	for i, n := range c.GetConfiguration().GetNetworks() {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, n.GetNetwork()...)
	}
	return out
}

// appendQuoted appends words so that one can see where each ends.
func appendQuoted(out []byte, words []string) []byte {
	for i, w := range words {
		if i > 0 {
			out = append(out, ' ')
		}
		if w == "" || strings.ContainsAny(w, " \t\n\"'\\") {
			out = strconv.AppendQuote(out, w)
		} else {
			out = append(out, w...)
		}
	}
	return out
}
