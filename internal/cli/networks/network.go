package networks

import (
	"context"
	"iter"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// New returns the command "network".
func New(f *frame.Frame) *cobra.Command {
	c := frame.Group(f, "network", "Networks and what is plugged into them",
		frame.Maker{Name: "create", Make: newNetworkCreate},
		frame.Maker{Name: "update", Make: newNetworkUpdate},
		frame.Maker{Name: "list", Make: newNetworkList},
		frame.Maker{Name: "inspect", Make: newNetworkInspect},
		frame.Maker{Name: "explain", Make: newNetworkExplain},
		frame.Maker{Name: "check", Make: newNetworkCheck},
		frame.Maker{Name: "export", Make: newNetworkExport},
		frame.Maker{Name: "import", Make: newNetworkImport},
		frame.Maker{Name: "connect", Make: newNetworkConnect},
		frame.Maker{Name: "disconnect", Make: newNetworkDisconnect},
		frame.Maker{Name: "delete", Make: newNetworkDelete},
		frame.Maker{Name: "prune", Make: newNetworkPrune},
	)
	c.Aliases = []string{"net"}
	return c
}

type networkGetter interface {
	Get(context.Context, *apiserverv1.NetworkServiceGetRequest) (*apiserverv1.NetworkServiceGetResponse, error)
}

// foundNetwork is a network without its attachments. It is valid until they are looked at.
type foundNetwork struct {
	resource.Network
	rest iter.Seq2[*apiserverv1.NetworkServiceGetResponse, error] // which has them
}

func getNetwork(ctx context.Context, api networkGetter, name string) (foundNetwork, error) {
	answer, err := api.Get(apiclient.InPieces(ctx), &apiserverv1.NetworkServiceGetRequest{Name: name})
	if err != nil {
		return foundNetwork{}, err
	}
	out := foundNetwork{rest: message.Parts(answer)}
	for part, err := range out.rest {
		n := part.GetNetwork()
		if err == nil && n.GetMetadata() == nil {
			continue // nothing
		}
		if err == nil {
			out.Network, err = apiwire.NetworkFromProto(n)
		}
		out.Status.Attachments = nil
		return out, err
	}
	return out, nil
}

// whole is the network with its attachments, one after the other.
func (n foundNetwork) whole() any {
	attachments := frame.EachPart(n.rest, func(part *apiserverv1.NetworkServiceGetResponse) []*apiserverv1.NetworkAttachment {
		return part.GetNetwork().GetStatus().GetAttachments()
	})
	return output.Ending{Value: &n.Network, Field: "attachments", Depth: 2, Items: func(yield func(any, error) bool) {
		var shown resource.NetworkAttachment
		for a, err := range attachments {
			if err == nil {
				shown, err = apiwire.NetworkAttachmentFromProto(a)
			}
			if !yield(&shown, err) {
				return
			}
		}
	}}
}

// networkTable shows networks to people, one after the other in the memory of the one before.
type networkTable struct {
	*output.Table
	now   time.Time
	whole bool // nothing is cut short
	text  []byte
}

func newNetworkTable(now time.Time, whole bool) *networkTable {
	return &networkTable{Table: output.NewTable("ID", "NAME", "PLUGIN", "STATE", "IPV4 SUBNET", "IPV6 SUBNET", "IN USE", "AGE"), now: now, whole: whole}
}

// addNetwork adds a network.
func (t *networkTable) addNetwork(n *resource.Network) {
	s := &n.Status
	output.Cell(t.Table, n.ID)
	output.Cell(t.Table, n.Name)
	output.Cell(t.Table, n.Configuration.Plugin.String())
	output.Cell(t.Table, networkState(s, t.whole))
	for _, subnet := range [...]netip.Prefix{s.IPv4Subnet, s.IPv6Subnet} {
		if t.text = t.text[:0]; subnet.IsValid() {
			t.text = subnet.AppendTo(t.text)
		}
		output.Cell(t.Table, t.text)
	}
	t.text = appendUsage(t.text[:0], s)
	output.Cell(t.Table, t.text)
	output.Cell(t.Table, output.Age(n.CreatedAt, t.now))
	t.End()
}

// appendUsage says how many addresses are in use, of how many where they can be counted.
func appendUsage(out []byte, s *resource.NetworkStatus) []byte {
	out = strconv.AppendUint(out, s.AddressesInUse, 10)
	if s.AddressesTotal == 0 || s.AddressesTotal > math.MaxUint32 {
		return out
	}
	out = strconv.AppendUint(append(out, " of "...), s.AddressesTotal, 10)
	if s.AddressesReserved > 0 {
		out = append(strconv.AppendUint(append(out, ", "...), s.AddressesReserved, 10), " reserved"...)
	}
	return out
}

// networkState is the state with what there is to say of it: why it is not
// ready, else what is wrong around it.
func networkState(s *resource.NetworkStatus, whole bool) string {
	message := s.Message
	if message == "" && len(s.Warnings) > 0 {
		message = "warning: " + strings.Join(s.Warnings, "; ")
	}
	if message == "" {
		return string(s.State)
	}
	message, _, _ = strings.Cut(message, "\n")
	return string(s.State) + ": " + output.Short(message, 40, whole)
}
