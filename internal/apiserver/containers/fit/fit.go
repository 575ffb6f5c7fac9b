// Package fit says whether a runtime can serve an attachment to a network, by
// what the manifests of both say.
package fit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

// Strategy refuses a network whose interfaces, made by strategy, the runtime
// cannot make, as errdefs.ErrFailedPrecondition.
func Strategy(n resource.Network, strategy string, runtime manifest.Plugin) error {
	if slices.Contains(runtime.Strategies, strategy) {
		return nil
	}
	p := n.Configuration.Plugin
	return fault.New(errdefs.ErrFailedPrecondition, "network %s: plugin %s, variant %s, makes interfaces by strategy %s, which runtime %s lacks: it has %s",
		n.Name, p.Plugin, p.Variant, strategy, runtime.Name, strings.Join(runtime.Strategies, ", "))
}

// Runtime refuses a runtime that is not the one that the network's label demands, as
// errdefs.ErrFailedPrecondition.
func Runtime(n resource.Network, runtime string) error {
	demanded := n.Labels[resource.RuntimeLabel]
	if demanded == "" || demanded == runtime {
		return nil
	}
	return fault.New(errdefs.ErrFailedPrecondition, "network %s: is for containers of runtime %s alone (label %s), not of %s",
		n.Name, demanded, resource.RuntimeLabel, runtime)
}

// Rates refuses a wish for rates that the runtime cannot hold on interfaces that
// are made by strategy, as errdefs.ErrFailedPrecondition: nobody shall believe in
// a limit that is not there.
func Rates(n resource.Network, strategy string, w resource.AttachmentConfiguration, runtime manifest.Plugin) error {
	var keys []string
	if w.RateIn != 0 {
		keys = append(keys, "rate-in")
	}
	if w.RateOut != 0 {
		keys = append(keys, "rate-out")
	}
	if len(keys) == 0 || slices.Contains(runtime.Rates, strategy) {
		return nil
	}
	return fault.New(errdefs.ErrFailedPrecondition, "network %s: %s: plugin %s makes interfaces by strategy %s, on which runtime %s cannot hold a rate; it can by: %s",
		n.Name, strings.Join(keys, ", "), n.Configuration.Plugin, strategy, runtime.Name, cmp.Or(strings.Join(runtime.Rates, ", "), "none"))
}
