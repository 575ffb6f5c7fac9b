package networks

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// answers has answers of patchbayd by the names that they are asked for by.
type answers map[string][][]byte

func (a answers) Get(_ context.Context, r *apiserverv1.NetworkServiceGetRequest) (*apiserverv1.NetworkServiceGetResponse, error) {
	parts, ok := a[r.GetName()]
	if !ok {
		return nil, fmt.Errorf("network %s: is not there", r.GetName())
	}
	out := new(apiserverv1.NetworkServiceGetResponse)
	out.SetFields([][]byte{slices.Concat(parts...)})
	return out, nil
}

// answered is how patchbayd answers with a network: its attachments are in parts of their own.
func answered(t *testing.T, n resource.Network) (parts [][]byte) {
	t.Helper()
	attachments := n.Status.Attachments
	n.Status.Attachments = nil
	messages := []*apiserverv1.Network{apiwire.NetworkToProto(n)}
	for _, a := range attachments {
		messages = append(messages, &apiserverv1.Network{
			Status: &apiserverv1.NetworkStatus{Attachments: []*apiserverv1.NetworkAttachment{apiwire.NetworkAttachmentToProto(a)}},
		})
	}
	for _, m := range messages {
		part, err := message.Append(nil, &apiserverv1.NetworkServiceGetResponse{Network: m})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	return parts
}

func inspect(api networkGetter, names ...string) (string, error) {
	var out strings.Builder
	err := runNetworkInspect(context.Background(), api, &out, names, output.FormatJSON)
	return out.String(), err
}

// Networks are shown as the JSON of all there is of them, however many attachments they have.
func TestInspectedNetworks(t *testing.T) {
	t.Parallel()
	full := resource.Network{
		Metadata: resource.Metadata{ID: "1f", Name: "full", Labels: map[string]string{"a": "<b>"}},
		Status: resource.NetworkStatus{
			State: resource.NetworkReady, IPv4Subnet: netip.MustParsePrefix("10.1.0.0/16"), MTU: 1500,
			Warnings: []string{"a\nb"}, PluginPID: 7, BuiltIn: true,
		},
	}
	empty := full
	empty.Name = "empty"
	for i := range 3 {
		full.Status.Attachments = append(full.Status.Attachments, resource.NetworkAttachment{
			Container: fmt.Sprint("c", i), ContainerID: "0a", LeaseState: resource.LeaseHeld,
			Attachment: resource.Attachment{
				NetworkID: "1f", Network: "full", Hostname: fmt.Sprint("c", i), Aliases: []string{"x", "y"}[:i%2],
				IPv4Address: netip.MustParsePrefix("10.1.0.2/16"), MACAddress: "02:00:00:00:00:01", InterfaceName: "eth0",
			},
		})
	}
	api := answers{"full": answered(t, full), "empty": answered(t, empty)}
	got, err := inspect(api, "full", "gone", "empty", "full")
	if err == nil || err.Error() != "network gone: is not there" {
		t.Errorf("error %v, want one for the network that is gone", err)
	}
	var want strings.Builder
	e := json.NewEncoder(&want)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode([]resource.Network{full, empty, full}); err != nil {
		t.Fatal(err)
	}
	if got != want.String() {
		t.Errorf("got %s, want %s", got, want.String())
	}
}

// An answer that is torn in its middle is an error, and not shown as if it were whole.
func TestInspectedNetworkIsTorn(t *testing.T) {
	t.Parallel()
	n := resource.Network{Metadata: resource.Metadata{ID: "1f", Name: "web"}}
	n.Status.Attachments = make([]resource.NetworkAttachment, 1000)
	for i := range n.Status.Attachments {
		n.Status.Attachments[i].Container = fmt.Sprint("container ", i)
	}
	parts := answered(t, n)
	last := len(parts) - 1
	senseless, err := message.Append(nil, &apiserverv1.NetworkServiceGetResponse{Network: &apiserverv1.Network{Status: &apiserverv1.NetworkStatus{
		Attachments: []*apiserverv1.NetworkAttachment{{Attachment: &typesv1.Attachment{Ipv4Address: "10.0.0.0/99"}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, torn := range map[string][]byte{
		"cut":         parts[last][:len(parts[last])-1],
		"no sense":    senseless,
		"not a field": {0xff},
	} {
		parts[last] = torn
		got, err := inspect(answers{"web": parts}, "web")
		if err == nil || json.Valid([]byte(got)) {
			t.Errorf("%s: error %v, and %d bytes were shown", name, err, len(got))
		}
	}
}
