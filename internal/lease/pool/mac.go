package pool

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

// MACOf is the MAC address that belongs to an IP address, whoever has it: what a neighbour
// remembers of its last owner is right of the next one. Twins have one.
func (p *Pool) MACOf(addr netip.Addr) resource.MACAddress {
	if v4 := twin(p.v4, p.v6, addr); addr.Is6() && v4.IsValid() {
		addr = v4
	}
	return macaddress.Stable(p.config.ID, "address", addr.String())
}

// pickMAC returns the MAC address that is wanted, else that of the addresses; where there
// are none, or another one has it, one of the key's own.
func (p *Pool) pickMAC(key string, got Addresses, want resource.MACAddress) resource.MACAddress {
	if want != "" {
		return want
	}
	for _, addr := range []netip.Addr{got.IPv4, got.IPv6} {
		if !addr.IsValid() {
			continue
		}
		if mac := p.MACOf(addr); p.mayHave(key, mac) {
			return mac
		}
	}
	for salt := 0; ; salt++ {
		parts := []string{p.config.ID, key}
		if salt > 0 {
			parts = append(parts, strconv.Itoa(salt))
		}
		if mac := macaddress.Stable(parts...); p.mayHave(key, mac) {
			return mac
		}
	}
}

// mayHave tells whether no other key has the MAC address.
func (p *Pool) mayHave(key string, mac resource.MACAddress) bool {
	other, taken := p.macs[mac]
	return !taken || other == key
}
