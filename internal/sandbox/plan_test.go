package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

// describe is a strategy that says what it was asked.
type describe struct{}

func (describe) Interface(a resource.AllocatedAttachment, index int, gateway Families) (Interface, error) {
	if a.Attachment.MTU == 13 {
		return Interface{}, fmt.Errorf("unlucky: %w", errdefs.ErrInvalidArgument)
	}
	name := a.Attachment.InterfaceName
	if name == "" {
		name = fmt.Sprintf("eth%d", index)
	}
	if gateway.IPv4 {
		name += " v4"
	}
	if gateway.IPv6 {
		name += " v6"
	}
	return Interface{Name: name}, nil
}

func TestPlan(t *testing.T) {
	t.Parallel()
	g4, g6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	for name, tc := range map[string]struct {
		attachments []resource.Attachment
		want        []string
		faults      []string
		kind        error
	}{
		"none":                  {want: []string{}},
		"ties go to the first":  {attachments: []resource.Attachment{{IPv4Gateway: g4, IPv6Gateway: g6}, {IPv4Gateway: g4, IPv6Gateway: g6}}, want: []string{"eth0 v4 v6", "eth1"}},
		"the highest priority":  {attachments: []resource.Attachment{{IPv4Gateway: g4}, {IPv4Gateway: g4, GatewayPriority: 2}, {IPv4Gateway: g4, GatewayPriority: 1}}, want: []string{"eth0", "eth1 v4", "eth2"}},
		"below zero":            {attachments: []resource.Attachment{{IPv4Gateway: g4, GatewayPriority: -1}, {IPv4Gateway: g4}}, want: []string{"eth0", "eth1 v4"}},
		"only with a gateway":   {attachments: []resource.Attachment{{GatewayPriority: 9}, {IPv4Gateway: g4}}, want: []string{"eth0", "eth1 v4"}},
		"each family by itself": {attachments: []resource.Attachment{{IPv4Gateway: g4}, {IPv4Gateway: g4, IPv6Gateway: g6}}, want: []string{"eth0 v4", "eth1 v6"}},
		"all faults at once": {
			attachments: []resource.Attachment{{Network: "a", MTU: 13}, {Network: "b", MTU: 13}},
			faults:      []string{"network a: unlucky", "network b: unlucky"}, kind: errdefs.ErrInvalidArgument,
		},
		"a name twice": {
			attachments: []resource.Attachment{{Network: "a", InterfaceName: "eth1"}, {Network: "b"}},
			faults:      []string{`network b: already exists: interface name "eth1" is already that of network a`}, kind: errdefs.ErrAlreadyExists,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var in []resource.AllocatedAttachment
			for _, a := range tc.attachments {
				in = append(in, resource.AllocatedAttachment{Attachment: a, Strategy: "describe"})
			}
			plans, err := Plan(in, map[string]InterfaceStrategy{"describe": describe{}})
			if tc.kind != nil {
				if !errors.Is(err, tc.kind) {
					t.Errorf("error = %v, want %v", err, tc.kind)
				}
				for _, f := range tc.faults {
					if !strings.Contains(fmt.Sprint(err), f) {
						t.Errorf("error = %v, want it to have %q", err, f)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, p := range plans {
				got = append(got, p.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("plans (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("unknown strategy", func(t *testing.T) {
		t.Parallel()
		_, err := Plan([]resource.AllocatedAttachment{{Attachment: resource.Attachment{Network: "a"}, Strategy: "teleport"}},
			map[string]InterfaceStrategy{"describe": describe{}})
		if !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "describe") {
			t.Errorf("error = %v, want it to name what there is", err)
		}
	})
}
