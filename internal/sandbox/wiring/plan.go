package wiring

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Plan returns the interfaces of all attachments, in order, with their routes
// (see route), and the attachments with what that decides: the names and hardware
// addresses of their interfaces. It touches nothing and reports every fault at once.
// What a connected or disconnected network changes is the difference of two plans.
func Plan(attachments []resource.AllocatedAttachment, strategies map[string]Strategy) ([]Interface, []resource.AllocatedAttachment, error) {
	plans := make([]Interface, 0, len(attachments))
	names := make(map[string]string)
	var faults []error
	for i, a := range attachments {
		strategy, ok := strategies[a.Strategy]
		if !ok {
			faults = append(faults, fmt.Errorf("network %s: %w: this runtime has no strategy %q for %s: want one of %s",
				a.Attachment.Network, errdefs.ErrFailedPrecondition, a.Strategy, a.Plugin,
				strings.Join(slices.Sorted(maps.Keys(strategies)), ", ")))
			continue
		}
		plan, err := strategy.Interface(a, i)
		if err != nil {
			faults = append(faults, fmt.Errorf("network %s: %w", a.Attachment.Network, err))
			continue
		}
		if other, taken := names[plan.Name]; taken {
			faults = append(faults, fmt.Errorf("network %s: %w: interface name %q is already that of network %s",
				a.Attachment.Network, errdefs.ErrAlreadyExists, plan.Name, other))
		}
		names[plan.Name] = a.Attachment.Network
		plans = append(plans, plan)
	}
	if len(faults) > 0 {
		return nil, nil, errors.Join(faults...)
	}
	asked := make([]resource.Attachment, len(attachments))
	planned := slices.Clone(attachments)
	for i, a := range attachments {
		asked[i] = a.Attachment
		planned[i].Attachment.InterfaceName = plans[i].Name
		planned[i].Attachment.MACAddress = plans[i].MAC
	}
	if err := route(plans, asked); err != nil {
		return nil, nil, err
	}
	return plans, planned, nil
}
