package lease

import (
	"net/netip"
	"strconv"

	"patchbay.dev/patchbay/internal/ipam"
	"patchbay.dev/patchbay/internal/macaddress"
	"patchbay.dev/patchbay/resource"
)

// twin returns the address of one family that goes with one of the other; the zero value
// when there is none.
func twin(a, of *ipam.Allocator, addr netip.Addr) netip.Addr {
	if a == nil || of == nil || !addr.IsValid() {
		return netip.Addr{}
	}
	return a.Twin(of, addr)
}

// macOf is the MAC address that belongs to an IP address, whoever has it: what a neighbour
// remembers of its last owner is right of the next one. Twins have one. Callers hold mu.
func (t *Table) macOf(addr netip.Addr) resource.MACAddress {
	if v4 := twin(t.v4, t.v6, addr); addr.Is6() && v4.IsValid() {
		addr = v4
	}
	return macaddress.Stable(t.network.ID, "address", addr.String())
}

// pickMAC returns the MAC address that is wanted or reserved, else that of the addresses; where there
// are none, or another one has it, one of the key's own. Callers hold mu.
func (t *Table) pickMAC(key string, got Addresses, want resource.MACAddress) resource.MACAddress {
	if e := t.entries[key]; want == "" && e != nil {
		want = e.Reserved.MAC
	}
	if want != "" {
		return want
	}
	for _, addr := range []netip.Addr{got.IPv4, got.IPv6} {
		if !addr.IsValid() {
			continue
		}
		if mac := t.macOf(addr); t.mayHave(key, mac) {
			return mac
		}
	}
	for salt := 0; ; salt++ {
		parts := []string{t.network.ID, key}
		if salt > 0 {
			parts = append(parts, strconv.Itoa(salt))
		}
		if mac := macaddress.Stable(parts...); t.mayHave(key, mac) {
			return mac
		}
	}
}

// mayHave tells whether no other key has the MAC address. Callers hold mu.
func (t *Table) mayHave(key string, mac resource.MACAddress) bool {
	other, taken := t.macs[mac]
	return !taken || other == key
}

// noteStrangers remembers addresses that come to have another MAC address than macOf's: so
// may their neighbours, when others have them. Callers hold mu.
func (t *Table) noteStrangers(a resource.Attachment) error {
	var all []netip.Addr
	for _, prefix := range []netip.Prefix{a.IPv4Address, a.IPv6Address} {
		if prefix.IsValid() && a.MACAddress != t.macOf(prefix.Addr()) {
			all = append(all, prefix.Addr())
		}
	}
	return t.strangers.Add(all...)
}

// familiar tells that the addresses have had no other MAC address since the network was made. Callers
// hold mu.
func (t *Table) familiar(a resource.Attachment) bool {
	return !t.strangers.Has(a.IPv4Address.Addr()) && !t.strangers.Has(a.IPv6Address.Addr())
}
