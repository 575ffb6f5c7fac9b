package pluginwire_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/api/message"
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/rpc/jsonform"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// What a plugin answers, in JSON as in binary, is refused or means one thing: the
// value that is made of it stays the same on its further way.
func FuzzPluginAnswers(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"state":"NETWORK_STATE_READY","ipv4Subnet":"10.0.0.0/24","ipv4Gateway":"10.0.0.1","mtu":1500,"addressesInUse":"2","addressesTotal":253}`,
		`{"state":99,"ipv4Subnet":"10.0.0.1/24","ipv6Subnet":"::ffff:10.0.0.0/120","mtu":4294967295,"addressesTotal":"18446744073709551615"}`,
		`{"state":"NETWORK_STATE_READY","ipv4Subnet":"10.0.0.0/24","addressesTotal":5,"ipv4Addresses":{}}`,
		`{"state":"NETWORK_STATE_READY","ipv6Subnet":"fd00::/64","ipv4Addresses":{"inUse":1,"total":"253"},"ipv6Addresses":{"total":"18446744073709551615","reserved":3}}`,
		`{"networkId":"0123456789abcdef","network":"web","hostname":"db","aliases":["a","a"],"ipv4Address":"10.0.0.2/24","ipv6Address":"fd00::2%eth0/64","macAddress":"02:00:00:00:00:02","routes":[{"destination":"0.0.0.0/0","gateway":"10.0.0.1"}],"dns":{"servers":["10.0.0.1"]},"sysctls":{"":""}}`,
		`{"attachments":[{"ipv4Address":"10.0.0.2/24"},null],"owners":["db"]}`,
		`{"attachments":[{"ipv4Address":"10.0.0.2"}]}`,
	} {
		f.Add([]byte(seed))
	}
	same := cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}
	f.Fuzz(func(t *testing.T, data []byte) {
		decoded := func(m message.Message) bool {
			return jsonform.Unmarshal(data, m) == nil
		}
		compare := func(what string, before, after any, err error) {
			if diff := cmp.Diff(before, after, same); diff != "" || err != nil {
				t.Errorf("%s: %v (-before +after):\n%s", what, err, diff)
			}
		}
		if m := new(pluginv1.NetworkStatus); decoded(m) {
			if status, err := pluginwire.StatusFromProto(m); err == nil {
				again, err := pluginwire.StatusFromProto(pluginwire.StatusToProto(status))
				compare("status", status, again, err)
			}
		}
		if m := new(typesv1.Attachment); decoded(m) {
			if attachment, err := wire.AttachmentFromProto(m); err == nil {
				again, err := wire.AttachmentFromProto(wire.AttachmentToProto(attachment))
				compare("attachment", attachment, again, err)
			}
		}
		if m := new(pluginv1.LookupResponse); decoded(m) {
			if found, err := pluginwire.FoundFromProto(m); err == nil {
				again, err := pluginwire.FoundFromProto(pluginwire.FoundToProto(found))
				compare("found", found, again, err)
			}
		}
	})
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]*typesv1.Attachment{
		`ipv4 address "fd00::2/64": want one of IPv4`:          {Ipv4Address: "fd00::2/64"},
		`ipv6 gateway "10.0.0.1": want one of IPv6`:            {Ipv6Gateway: "10.0.0.1"},
		`ipv6 gateway "::ffff:10.0.0.1": want one of IPv6`:     {Ipv6Gateway: "::ffff:10.0.0.1"},
		`route destination: is empty`:                          {Routes: []*typesv1.Route{{Gateway: "10.0.0.1"}}},
		`name server: is empty, want an ip address`:            {Dns: &typesv1.DNSConfiguration{Servers: []string{""}}},
		`ipv4 address "10.0.0.2": want an address with a pref`: {Ipv4Address: "10.0.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.AttachmentFromProto(m)
			if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want %q", err, name)
			}
		})
	}
	_, err := pluginwire.StatusFromProto(&pluginv1.NetworkStatus{Ipv4Subnet: "fd00::/64", Ipv6Gateway: "10.0.0.1"})
	if err == nil || !strings.Contains(err.Error(), "ipv4 subnet") || !strings.Contains(err.Error(), "ipv6 gateway") {
		t.Errorf("status: got %v, want both faults", err)
	}
}

// A plugin that tells of one family alone tells of the first that it has.
func TestUsageByFamily(t *testing.T) {
	t.Parallel()
	told := resource.AddressUsage{InUse: 2, Total: 253, Reserved: 1}
	for name, tt := range map[string]struct {
		status       *pluginv1.NetworkStatus
		want4, want6 resource.AddressUsage
	}{
		"both subnets": {&pluginv1.NetworkStatus{Ipv4Subnet: "10.0.0.0/24", Ipv6Subnet: "fd00::/64"}, told, resource.AddressUsage{}},
		"IPv6 alone":   {&pluginv1.NetworkStatus{Ipv6Subnet: "fd00::/64"}, resource.AddressUsage{}, told},
		"no subnet":    {&pluginv1.NetworkStatus{}, resource.AddressUsage{}, resource.AddressUsage{}},
		"told of itself": {
			&pluginv1.NetworkStatus{Ipv4Subnet: "10.0.0.0/24", Ipv6Addresses: &pluginv1.AddressUsage{InUse: 7, Total: 8}},
			resource.AddressUsage{},
			resource.AddressUsage{InUse: 7, Total: 8},
		},
	} {
		tt.status.AddressesInUse, tt.status.AddressesTotal, tt.status.AddressesReserved = told.InUse, told.Total, told.Reserved
		got, err := pluginwire.StatusFromProto(tt.status)
		if err != nil || got.IPv4Addresses != tt.want4 || got.IPv6Addresses != tt.want6 {
			t.Errorf("%s: got %+v and %+v, %v, want %+v and %+v", name, got.IPv4Addresses, got.IPv6Addresses, err, tt.want4, tt.want6)
		}
	}
}
