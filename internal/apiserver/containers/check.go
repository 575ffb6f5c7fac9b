package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/capability"
	"github.com/moby/sys/signal"

	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

// request is a wish for a container with all that it names looked up.
type request struct {
	name     string // empty: to be made up
	labels   map[string]string
	template resource.ContainerTemplate // networks by id, runtime named

	image    resource.Image
	networks []resource.Network // in the order of the template's
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
	add(checkHost(r.template))
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
	seen := map[string]string{}
	for i, w := range wishes {
		if w.Network == "" {
			continue // its form is at fault
		}
		n, err := s.config.Networks.Resolve(w.Network)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if other, ok := seen[n.ID]; ok && other != w.Network {
			faults = append(faults, kindf(errdefs.ErrInvalidArgument, "network %q: is the same as %q, want each network once", w.Network, other))
		}
		seen[n.ID] = w.Network
		faults = append(faults, s.checkStrategy(n, r.runtime))
		if n.Status.State == resource.NetworkFailed {
			r.warnings = append(r.warnings, fmt.Sprintf("network %s is failed (%s): the container cannot start before it is ready", n.Name, n.Status.Message))
		}
		wishes[i].Network = n.ID
		r.networks = append(r.networks, n)
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
	return kindf(errdefs.ErrFailedPrecondition, "network %s: plugin %s, variant %s, makes interfaces by strategy %s, which runtime %s lacks: it has %s",
		n.Name, p.Plugin, p.Variant, strategy, runtime.Name, strings.Join(runtime.Strategies, ", "))
}

// checkHost compares a request with what this host has.
func checkHost(t resource.ContainerTemplate) error {
	var faults []error
	if have := runtime.NumCPU(); t.Resources.NanoCPUs > int64(have)*1e9 {
		faults = append(faults, fmt.Errorf("cpus %v: this host has %d", float64(t.Resources.NanoCPUs)/1e9, have))
	}
	known := knownCapabilities()
	for _, c := range capabilityNames(slices.Concat(t.CapabilitiesAdd, t.CapabilitiesDrop)) {
		if c != allCapabilities && !slices.Contains(known, c) {
			faults = append(faults, fmt.Errorf("capability %q: is unknown, want ALL or one of %s", c, strings.Join(known, ", ")))
		}
	}
	if t.StopSignal != "" {
		if _, err := parseSignal(t.StopSignal); err != nil {
			faults = append(faults, fmt.Errorf("stop %w", err))
		}
	}
	for _, m := range t.Mounts {
		if m.Type != resource.MountBind || m.Source == "" {
			continue
		}
		if _, err := os.Stat(m.Source); err != nil {
			faults = append(faults, fmt.Errorf("mount %q: source %s: %w", m.Target, m.Source, errors.Unwrap(err)))
		}
	}
	return kindOf(errdefs.ErrInvalidArgument, errors.Join(faults...))
}

const allCapabilities = "ALL"

// capabilityNames returns names in the form of capabilities(7), CAP_NET_ADMIN.
func capabilityNames(names []string) []string {
	var out []string
	for _, n := range names {
		n = strings.ToUpper(n)
		if n != allCapabilities && !strings.HasPrefix(n, "CAP_") {
			n = "CAP_" + n
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// knownCapabilities returns those of the running kernel.
func knownCapabilities() []string {
	last, err := capability.LastCap()
	if err != nil {
		last = capability.Cap(len(capability.ListKnown()) - 1)
	}
	var out []string
	for _, c := range capability.ListKnown() {
		if c <= last {
			out = append(out, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	return out
}

// parseSignal accepts a name with or without SIG, in any case, or a number.
func parseSignal(s string) (syscall.Signal, error) {
	n, err := signal.ParseSignal(s)
	if err != nil || !signal.ValidSignalForPlatform(n) {
		return 0, kindf(errdefs.ErrInvalidArgument, "signal %q: want a name like TERM or a number of 1 to 64", s)
	}
	return n, nil
}

// signalName returns the name in full of a number that has one, else what the
// user wrote.
func signalName(n syscall.Signal, written string) string {
	if _, err := strconv.Atoi(written); err == nil {
		return written
	}
	if n == 0 {
		return written
	}
	return "SIG" + strings.TrimPrefix(strings.ToUpper(written), "SIG")
}
