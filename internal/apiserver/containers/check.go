package containers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/blueprint"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

// request is a wish for a container with all that it names looked up.
type request struct {
	name     string // empty: to be made up
	labels   map[string]string
	template resource.ContainerTemplate // networks by id, runtime named

	image    resource.Image
	networks []resource.Network // that the template names, each once
	runtime  manifest.Plugin
	warnings []string
}

// check looks up all that a request names and reports at once all that is
// wrong with it.
func (s *Service) check(ctx context.Context, r *request) error {
	var faults []error
	add := func(err error) { faults = append(faults, err) }
	if r.name != "" {
		add(resource.ValidateName("container", r.name))
	}
	add(resource.ValidateLabels(r.labels))
	add(r.template.Validate())
	add(blueprint.CheckHost(r.template))
	if r.template.Image != "" {
		image, err := s.config.Images.Resolve(ctx, r.template.Image)
		add(err)
		r.image = image
	}
	add(s.checkRuntime(r))
	add(s.checkNetworks(r))
	return errors.Join(faults...)
}

func (s *Service) checkRuntime(r *request) error {
	if r.template.Runtime == "" {
		r.template.Runtime = s.config.DefaultRuntime
	}
	plugin, err := s.config.Runtimes.Runtime(r.template.Runtime)
	r.runtime = plugin
	return err
}

// checkNetworks looks the networks up and refuses those that the runtime cannot
// make an interface for.
func (s *Service) checkNetworks(r *request) error {
	wishes := slices.Clone(r.template.Networks)
	if len(wishes) == 0 && !r.template.NoNetwork {
		wishes = []resource.AttachmentConfiguration{{Network: resource.DefaultNetworkName}}
	}
	var faults []error
	for i, w := range wishes {
		if w.Network == "" {
			continue // its form is at fault
		}
		n, err := s.config.Networks.Resolve(w.Network)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		wishes[i].Network = n.ID
		if slices.ContainsFunc(r.networks, func(o resource.Network) bool { return o.ID == n.ID }) {
			continue // all is said already
		}
		r.networks = append(r.networks, n)
		faults = append(faults, s.checkStrategy(n, r.runtime))
		if n.Status.State == resource.NetworkFailed {
			r.warnings = append(r.warnings, fmt.Sprintf("network %s is failed (%s): the container cannot start before it is ready", n.Name, n.Status.Message))
		}
	}
	r.template.Networks = wishes
	return errors.Join(faults...)
}

// checkStrategy refuses a network whose interfaces the runtime cannot make.
func (s *Service) checkStrategy(n resource.Network, runtime manifest.Plugin) error {
	strategy, err := s.config.Networks.Strategy(n.ID)
	if err != nil {
		return err
	}
	if runtime.Name == "" || slices.Contains(runtime.Strategies, strategy) {
		return nil
	}
	p := n.Configuration.Plugin
	return fault.New(errdefs.ErrFailedPrecondition, "network %s: plugin %s, variant %s, makes interfaces by strategy %s, which runtime %s lacks: it has %s",
		n.Name, p.Plugin, p.Variant, strategy, runtime.Name, strings.Join(runtime.Strategies, ", "))
}
