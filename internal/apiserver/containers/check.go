package containers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"patchbay.dev/patchbay/internal/apiserver/containers/blueprint"
	"patchbay.dev/patchbay/internal/apiserver/containers/fit"
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
		again := slices.ContainsFunc(r.networks, func(o resource.Network) bool { return o.ID == n.ID })
		faults = append(faults, s.checkFit(n, w, r.runtime, again))
		if again {
			continue
		}
		r.networks = append(r.networks, n)
		if n.Status.State == resource.NetworkFailed {
			r.warnings = append(r.warnings, fmt.Sprintf("network %s is failed (%s): the container cannot start before it is ready", n.Name, n.Status.Message))
		}
	}
	r.template.Networks = wishes
	return errors.Join(faults...)
}

// checkFit refuses what the runtime cannot do on a network, each once.
func (s *Service) checkFit(n resource.Network, w resource.AttachmentConfiguration, runtime manifest.Plugin, again bool) error {
	strategy, err := s.config.Networks.Strategy(n.ID)
	switch {
	case runtime.Name == "": // it is at fault itself
		return nil
	case err == nil:
		err = fit.Strategy(n, strategy, runtime)
	}
	if err == nil {
		return fit.Rates(n, strategy, w, runtime)
	}
	if again {
		return nil
	}
	return err
}
