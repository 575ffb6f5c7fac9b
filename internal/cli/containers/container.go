package containers

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/wire/apiwire"
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

// containerTable shows containers to people.
func containerTable(containers []resource.Container, now time.Time, whole bool) *output.Table {
	t := output.NewTable("ID", "NAME", "IMAGE", "COMMAND", "STATE", "NETWORKS", "PORTS", "AGE")
	for _, c := range containers {
		t.Add(output.Short(c.ID, 16, whole), c.Name, output.Short(c.Configuration.Image, 40, whole),
			output.Short(quoteWords(c.Configuration.Process.Args), 30, whole), containerState(c.Status, whole),
			containerNetworks(c), output.Short(containerPorts(c.Configuration.Ports), 40, whole), output.Age(c.CreatedAt, now))
	}
	return t
}

func containerState(s resource.ContainerStatus, whole bool) string {
	state := string(s.State)
	if s.State == resource.ContainerStopped {
		state += " (" + strconv.Itoa(s.ExitCode) + ")"
	}
	if s.OutOfMemory {
		state += ", out of memory"
	}
	notes := s.Faults
	if s.Message != "" {
		notes = append([]string{s.Message}, notes...)
	}
	if len(notes) > 0 {
		state += ": " + output.Short(strings.Join(notes, "; "), 40, whole)
	}
	return state
}

// containerNetworks lists networks with the address on each, while there is
// one: "web=10.0.0.2,lan".
func containerNetworks(c resource.Container) string {
	var out []string
	for _, a := range c.Status.Attachments {
		address := a.IPv4Address
		if !address.IsValid() {
			address = a.IPv6Address
		}
		word := a.Network
		if address.IsValid() {
			word += "=" + address.Addr().String()
		}
		out = append(out, word)
	}
	if len(out) == 0 {
		for _, n := range c.Configuration.Networks {
			out = append(out, n.Network)
		}
	}
	return strings.Join(out, ",")
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
