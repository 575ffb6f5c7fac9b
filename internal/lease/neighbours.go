package lease

import (
	"net/netip"

	"patchbay.dev/patchbay/resource"
)

// noteStrangers remembers addresses that come to have another MAC address than the pool gives
// them: so may their neighbours, when others have them. Callers hold mu.
func (t *Table) noteStrangers(a resource.Attachment) error {
	var all []netip.Addr
	for _, prefix := range []netip.Prefix{a.IPv4Address, a.IPv6Address} {
		if prefix.IsValid() && a.MACAddress != t.pool.MACOf(prefix.Addr()) {
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
