package lease_test

import (
	"fmt"
	"net/netip"
	"testing"

	"patchbay.dev/patchbay/internal/lease"
	"patchbay.dev/patchbay/resource"
)

// owners allocates and gives back, one key after the other.
type owners struct {
	t       *testing.T
	table   *lease.Table
	network *fake
}

// next returns what a key gets that nothing is known of, and whether nobody has to be told.
func (o owners) next(key string, wish resource.AttachmentConfiguration) (resource.Attachment, bool) {
	o.t.Helper()
	got := allocate(o.t, o.table, key, wish).Attachment
	if err := o.table.Release(o.t.Context(), key, true); err != nil {
		o.t.Fatal(err)
	}
	return got, o.network.familiar[key]
}

// The next owner of an address has the MAC address of the last one, in both families.
func TestMACAddressGoesWithTheAddress(t *testing.T) {
	t.Parallel()
	network := newFake()
	o := owners{t, open(t, t.TempDir(), network, realization), network}
	seen := map[netip.Prefix]resource.Attachment{}
	for n := range 12 { // twice as many as there are IPv4 addresses
		got, familiar := o.next(fmt.Sprintf("k%d/0", n), resource.AttachmentConfiguration{})
		if before, again := seen[got.IPv4Address]; again && (before.MACAddress != got.MACAddress || before.IPv6Address != got.IPv6Address) {
			t.Errorf("got %v, %v by %s, before that %v by %s", got.IPv4Address, got.IPv6Address, got.MACAddress, before.IPv6Address, before.MACAddress)
		}
		if !familiar {
			t.Errorf("%v by %s is not familiar", got.IPv4Address, got.MACAddress)
		}
		seen[got.IPv4Address] = got
	}
	want(t, "addresses", len(seen), 5)
}

// Addresses with another MAC address are not familiar, nor are they with their next owners, by a
// later process neither.
func TestStrangers(t *testing.T) {
	t.Parallel()
	directory, network := t.TempDir(), newFake()
	table := open(t, directory, network, realization)
	o := owners{t, table, network}
	third := resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.3")}
	foreign := third
	foreign.MACAddress = "02:00:00:00:00:03"
	apart := resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.4"), IPv6Address: netip.MustParseAddr("fd00::5")}
	for _, step := range []struct {
		key      string
		wish     resource.AttachmentConfiguration
		familiar bool
	}{
		{"first/0", third, true},
		{"foreign/0", foreign, false},
		{"next/0", third, false},
		{"apart/0", apart, false},
		{"fifth/0", resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.5")}, false},
		{"sixth/0", resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.6")}, true},
	} {
		if _, familiar := o.next(step.key, step.wish); familiar != step.familiar {
			t.Errorf("%s: familiar %t, want %t", step.key, familiar, step.familiar)
		}
	}
	table.Close()
	o.table = open(t, directory, network, realization)
	if _, familiar := o.next("later/0", third); familiar {
		t.Error("a later process does not know that the address had another MAC address")
	}
	if err := o.table.Reset(); err != nil {
		t.Fatal(err)
	}
	o.table = open(t, directory, network, realization)
	if _, familiar := o.next("anew/0", third); !familiar {
		t.Error("the next network of that directory does not begin anew")
	}
}
