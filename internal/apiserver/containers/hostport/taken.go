package hostport

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/resource"
)

// Taken is an error with a line for each of a container's ports that has an owner,
// by its place: errdefs.ErrAlreadyExists. It is nil for none.
func Taken(container string, ports []resource.PublishedPort, owners map[int]string) error {
	var faults []error
	for i, p := range ports {
		if owner := owners[i]; owner != "" {
			faults = append(faults, fmt.Errorf("container %s: publish %s: the host port is taken by %s", container, p.Host(), owner))
		}
	}
	return fault.As(errdefs.ErrAlreadyExists, errors.Join(faults...))
}

// Explain says who has the ports that the start of a container failed for, in the
// lines of the runtime helper's error that tell of them. Other lines stay, and so
// does an error that is not about a taken port.
func Explain(container string, ports []resource.PublishedPort, err error) error {
	if !errdefs.IsAlreadyExists(err) || len(ports) == 0 {
		return err
	}
	return explain(container, ports, err, Owners(ports))
}

func explain(container string, ports []resource.PublishedPort, err error, owners map[int]string) error {
	lines := strings.Split(err.Error(), "\n")
	for i, p := range ports {
		place := slices.Index(lines, "publish "+p.Host()+": the host port is taken")
		if place >= 0 && owners[i] != "" {
			lines[place] += " by " + owners[i]
		}
	}
	for i := range lines {
		lines[i] = "container " + container + ": " + lines[i]
	}
	return fault.New(errdefs.ErrAlreadyExists, "%s", strings.Join(lines, "\n"))
}

// Among returns which of other containers, by their names, has a port that clashes
// with one of the given ones, by the place of that.
func Among(ports []resource.PublishedPort, others map[string][]resource.PublishedPort) map[int]string {
	owners := map[int]string{}
	if len(ports) == 0 {
		return owners
	}
	own := newIndex(ports)
	for name, theirs := range others {
		for _, p := range theirs {
			if !own.clashes(p) {
				continue
			}
			for i, mine := range ports {
				if mine.Clashes(p) {
					owners[i] = "container " + name
				}
			}
		}
	}
	return owners
}

// index finds ports by those that they clash with, in a time that does not grow
// with their number.
type index map[binding][]resource.PublishedPort

// binding is what ports that clash have the same of.
type binding struct {
	protocol string
	port     uint16
}

// newIndex returns an index of the ports.
func newIndex(lists ...[]resource.PublishedPort) index {
	x := index{}
	for _, ports := range lists {
		for _, p := range ports {
			x.add(p)
		}
	}
	return x
}

func (x index) add(p resource.PublishedPort) {
	b := binding{p.Protocol, p.HostPort}
	x[b] = append(x[b], p)
}

// clashes reports whether p clashes with any port of the index.
func (x index) clashes(p resource.PublishedPort) bool {
	return slices.ContainsFunc(x[binding{p.Protocol, p.HostPort}], p.Clashes)
}
