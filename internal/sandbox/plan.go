package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Plan returns the interfaces of all attachments, in order. It touches nothing
// and reports every fault at once. The default route of each family goes to the
// attachment with the highest gateway priority among those that have a gateway
// of that family; of equal ones to the first.
func Plan(attachments []resource.AllocatedAttachment, strategies map[string]InterfaceStrategy) ([]Interface, error) {
	gateway4 := gatewayOf(attachments, func(a resource.Attachment) netip.Addr { return a.IPv4Gateway })
	gateway6 := gatewayOf(attachments, func(a resource.Attachment) netip.Addr { return a.IPv6Gateway })
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
		plan, err := strategy.Interface(a, i, Families{IPv4: i == gateway4, IPv6: i == gateway6})
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
		return nil, errors.Join(faults...)
	}
	return plans, nil
}

// gatewayOf returns the place of the attachment whose gateway is the default
// one, -1 for none.
func gatewayOf(attachments []resource.AllocatedAttachment, gateway func(resource.Attachment) netip.Addr) int {
	best := -1
	for i, a := range attachments {
		if !gateway(a.Attachment).IsValid() {
			continue
		}
		if best < 0 || a.Attachment.GatewayPriority > attachments[best].Attachment.GatewayPriority {
			best = i
		}
	}
	return best
}

// planned returns the attachments as they will be, with what the plan decided.
func planned(attachments []resource.AllocatedAttachment, plans []Interface) []resource.Attachment {
	out := make([]resource.Attachment, len(attachments))
	for i, a := range attachments {
		out[i] = a.Attachment
		out[i].InterfaceName = plans[i].Name
		out[i].MACAddress = plans[i].MAC
	}
	return out
}
