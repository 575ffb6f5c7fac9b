package networks

import (
	"context"
	"fmt"
	"iter"
	"math"
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

func newNetworkTable() *output.Table {
	return output.NewTable("ID", "NAME", "PLUGIN", "STATE", "IPV4 SUBNET", "IPV6 SUBNET", "IN USE", "AGE")
}

// addNetwork shows a network to people.
func addNetwork(t *output.Table, n resource.Network, now time.Time, whole bool) {
	s := n.Status
	t.Add(output.Short(n.ID, 12, true), n.Name, n.Configuration.Plugin.String(), networkState(s, whole),
		frame.Text(s.IPv4Subnet), frame.Text(s.IPv6Subnet), usage(s), output.Age(n.CreatedAt, now))
}

// Usage is how many addresses are in use, of how many where they can be counted.
func usage(s resource.NetworkStatus) string {
	if s.AddressesTotal == 0 || s.AddressesTotal > math.MaxUint32 {
		return frame.Count(s.AddressesInUse)
	}
	text := fmt.Sprintf("%d of %d", s.AddressesInUse, s.AddressesTotal)
	if s.AddressesReserved > 0 {
		text += fmt.Sprintf(", %d reserved", s.AddressesReserved)
	}
	return text
}

// networkState is the state with what there is to say of it: why it is not
// ready, else what is wrong around it.
func networkState(s resource.NetworkStatus, whole bool) string {
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
