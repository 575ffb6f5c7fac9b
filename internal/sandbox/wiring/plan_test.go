package wiring

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// describe is a strategy that makes no link.
type describe struct{}

func (describe) Interface(a resource.AllocatedAttachment, index int) (Interface, error) {
	if a.Attachment.MTU == 13 {
		return Interface{}, fmt.Errorf("unlucky: %w", errdefs.ErrInvalidArgument)
	}
	name := a.Attachment.InterfaceName
	if name == "" {
		name = fmt.Sprintf("eth%d", index)
	}
	plan := Interface{Name: name, MAC: resource.MACAddress(fmt.Sprintf("02:00:00:00:00:%02x", index))}
	for _, address := range []netip.Prefix{a.Attachment.IPv4Address, a.Attachment.IPv6Address} {
		if address.IsValid() {
			plan.Addresses = append(plan.Addresses, address)
		}
	}
	return plan, nil
}

func address(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestPlanDecides(t *testing.T) {
	t.Parallel()
	in := []resource.AllocatedAttachment{
		{Attachment: resource.Attachment{Network: "a"}, Strategy: "describe"},
		{Attachment: resource.Attachment{Network: "b", InterfaceName: "lan"}, Strategy: "describe"},
	}
	plans, planned, err := Plan(in, map[string]Strategy{"describe": describe{}})
	if err != nil || len(plans) != 2 || len(planned) != 2 {
		t.Fatalf("planned %v, %v, %v", plans, planned, err)
	}
	for i, name := range []string{"eth0", "lan"} {
		if got := planned[i].Attachment; plans[i].Name != name || got.InterfaceName != name || got.MACAddress != plans[i].MAC || got.Network != in[i].Attachment.Network {
			t.Errorf("interface %v of attachment %+v, want %s", plans[i], got, name)
		}
	}
	if in[0].Attachment.InterfaceName != "" {
		t.Error("what was planned for is changed")
	}
}

func TestPlanFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		attachments []resource.Attachment
		faults      []string
		kind        error
	}{
		"all faults at once": {
			attachments: []resource.Attachment{{Network: "a", MTU: 13}, {Network: "b", MTU: 13}},
			faults:      []string{"network a: unlucky", "network b: unlucky"}, kind: errdefs.ErrInvalidArgument,
		},
		"a name twice": {
			attachments: []resource.Attachment{{Network: "a", InterfaceName: "eth1"}, {Network: "b"}},
			faults:      []string{`network b: already exists: interface name "eth1" is already that of network a`}, kind: errdefs.ErrAlreadyExists,
		},
		"an address twice": {
			attachments: []resource.Attachment{{Network: "a", IPv4Address: address("10.0.0.2/24")}, {Network: "b", IPv4Address: address("10.0.0.2/16")}},
			faults:      []string{`network b: already exists: address 10.0.0.2 is already that of interface eth0 on network a`}, kind: errdefs.ErrAlreadyExists,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var in []resource.AllocatedAttachment
			for _, a := range tc.attachments {
				in = append(in, resource.AllocatedAttachment{Attachment: a, Strategy: "describe"})
			}
			_, _, err := Plan(in, map[string]Strategy{"describe": describe{}})
			if !errors.Is(err, tc.kind) {
				t.Errorf("error = %v, want %v", err, tc.kind)
			}
			for _, f := range tc.faults {
				if !strings.Contains(fmt.Sprint(err), f) {
					t.Errorf("error = %v, want it to have %q", err, f)
				}
			}
		})
	}
	t.Run("unknown strategy", func(t *testing.T) {
		t.Parallel()
		_, _, err := Plan([]resource.AllocatedAttachment{{Attachment: resource.Attachment{Network: "a"}, Strategy: "teleport"}},
			map[string]Strategy{"describe": describe{}})
		if !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "describe") {
			t.Errorf("error = %v, want it to name what there is", err)
		}
	})
}
