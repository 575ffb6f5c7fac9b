// Package request looks up what a request for a container names, and tells all
// that is wrong with it.
package request

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/blueprint"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/fit"
	"patchbay.dev/patchbay/internal/apiserver/containers/record"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

// Request is a wish for a container with all that it names looked up.
type Request struct {
	ID       string
	Name     string // empty: to be made up
	Labels   map[string]string
	Template resource.ContainerTemplate // networks by id, runtime named

	Image    resource.Image
	Networks []resource.Network // that the template names, each once
	Warnings []string
	runtime  manifest.Plugin
}

// Checker looks up what requests name.
type Checker struct {
	Images         Images
	Networks       Networks
	Runtimes       Runtimes
	DefaultRuntime string // of containers which name none
}

// Images finds images by reference, digest or unique prefix of one.
type Images interface {
	Resolve(ctx context.Context, name string) (resource.Image, error)
	// Use keeps an image from being deleted until release is called.
	Use(digest string) (release func(), err error)
}

// Networks finds networks by name or id, and how their interfaces are made.
type Networks interface {
	Resolve(name string) (resource.Network, error)
	Strategy(networkID string) (string, error)
	// Use keeps networks from being deleted until release is called.
	Use(ids []string) (release func(), err error)
}

// Runtimes finds runtime plugins, as they are installed now.
type Runtimes interface {
	// Runtime returns the plugin of a name; errdefs.ErrNotFound names what there
	// is.
	Runtime(name string) (manifest.Plugin, error)
}

// Check looks up all that a request names and reports at once all that is
// wrong with it.
func (c Checker) Check(ctx context.Context, r *Request) error {
	var faults []error
	add := func(err error) { faults = append(faults, err) }
	if !resource.IsID(r.ID) {
		add(fault.New(errdefs.ErrInvalidArgument, "container id %q: want 16 hexadecimal digits, in lower case", r.ID))
	}
	if r.Name != "" {
		add(resource.ValidateName("container", r.Name))
	}
	add(resource.ValidateLabels(r.Labels))
	add(r.Template.Validate())
	add(blueprint.CheckHost(r.Template))
	if r.Template.Image != "" {
		image, err := c.Images.Resolve(ctx, r.Template.Image)
		add(err)
		r.Image = image
	}
	add(c.checkRuntime(r))
	add(c.checkNetworks(r))
	return errors.Join(faults...)
}

// Use keeps what a request names from being deleted until the container, which
// then does that by its existence, is stored.
func (c Checker) Use(r *Request) (release func(), err error) {
	releaseImage, err := c.Images.Use(r.Image.Configuration.Digest)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(r.Networks))
	for i, n := range r.Networks {
		ids[i] = n.ID
	}
	releaseNetworks, err := c.Networks.Use(ids)
	if err != nil {
		releaseImage()
		return nil, err
	}
	return func() { releaseNetworks(); releaseImage() }, nil
}

// Record is the container that is to be made, as it is stored. Its name may be empty
// still.
func (r *Request) Record() (record.Container, error) {
	configuration, err := blueprint.Merge(r.Template, r.ID, r.Image)
	return record.Container{
		Metadata: resource.Metadata{
			ID: r.ID, Name: r.Name, CreatedAt: time.Now().UTC(),
			Labels: blueprint.MergeLabels(r.Image.Configuration.Run.Labels, r.Labels),
		},
		Configuration: configuration,
	}, err
}

func (c Checker) checkRuntime(r *Request) error {
	if r.Template.Runtime == "" {
		r.Template.Runtime = cmp.Or(c.demanded(r), c.DefaultRuntime)
	}
	plugin, err := c.Runtimes.Runtime(r.Template.Runtime)
	r.runtime = plugin
	return err
}

// demanded is the runtime that the first of the networks demands which demands any.
func (c Checker) demanded(r *Request) string {
	for _, w := range wishesOf(r) {
		if n, err := c.Networks.Resolve(w.Network); err == nil && n.Labels[resource.RuntimeLabel] != "" {
			return n.Labels[resource.RuntimeLabel]
		}
	}
	return ""
}

// wishesOf are the networks that a request is for.
func wishesOf(r *Request) []resource.AttachmentConfiguration {
	if len(r.Template.Networks) == 0 && !r.Template.NoNetwork {
		return []resource.AttachmentConfiguration{{Network: resource.DefaultNetworkName}}
	}
	return slices.Clone(r.Template.Networks)
}

// CheckStart refuses the start of a container on networks that are no longer for
// its runtime. What cannot be looked up is for others to tell.
func (c Checker) CheckStart(config resource.ContainerConfiguration) error {
	var faults []error
	seen := make(map[string]bool)
	for _, w := range config.Networks {
		if n, err := c.Networks.Resolve(w.Network); err == nil && !seen[n.ID] {
			seen[n.ID] = true
			faults = append(faults, fit.Runtime(n, config.Runtime))
		}
	}
	return errors.Join(faults...)
}

// checkNetworks looks the networks up and refuses those that the runtime cannot
// make an interface for.
func (c Checker) checkNetworks(r *Request) error {
	wishes := wishesOf(r)
	var faults []error
	for i, w := range wishes {
		if w.Network == "" {
			continue // its form is at fault
		}
		n, err := c.Networks.Resolve(w.Network)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		wishes[i].Network = n.ID
		again := slices.ContainsFunc(r.Networks, func(o resource.Network) bool { return o.ID == n.ID })
		faults = append(faults, c.checkFit(n, w, r.runtime, again))
		if again {
			continue
		}
		r.Networks = append(r.Networks, n)
		if n.Status.State == resource.NetworkFailed {
			r.Warnings = append(r.Warnings, fmt.Sprintf("network %s is failed (%s): the container cannot start before it is ready", n.Name, n.Status.Message))
		}
	}
	r.Template.Networks = wishes
	return errors.Join(faults...)
}

// CheckOneMore looks the network and the runtime of a further wish up and refuses
// what does not go with the wishes that are there. It returns the wish with a name
// for its interface, the lowest that is free if it has none.
func (c Checker) CheckOneMore(runtime string, wishes []resource.AttachmentConfiguration, wish resource.AttachmentConfiguration) (resource.AttachmentConfiguration, *Request, error) {
	if wish.InterfaceName == "" {
		wish.InterfaceName = resource.FreeInterfaceName(wishes)
	}
	r := &Request{Template: resource.ContainerTemplate{Runtime: runtime, Networks: []resource.AttachmentConfiguration{wish}}}
	faults := []error{wish.Validate(), c.checkRuntime(r), c.checkNetworks(r)}
	for _, w := range wishes {
		if w.InterfaceName == wish.InterfaceName {
			faults = append(faults, fault.New(errdefs.ErrAlreadyExists, "network %q: interface name %q is that of another of the container's interfaces", wish.Network, wish.InterfaceName))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return wish, nil, err
	}
	return r.Template.Networks[0], r, nil
}

// checkFit refuses what the runtime cannot do on a network, each once.
func (c Checker) checkFit(n resource.Network, w resource.AttachmentConfiguration, runtime manifest.Plugin, again bool) error {
	if runtime.Name == "" { // it is at fault itself
		return nil
	}
	strategy, err := c.Networks.Strategy(n.ID)
	if err == nil {
		err = cmp.Or(fit.Runtime(n, runtime.Name), fit.Strategy(n, strategy, runtime))
	}
	if err == nil {
		return fit.Rates(n, strategy, w, runtime)
	}
	if again {
		return nil
	}
	return err
}
