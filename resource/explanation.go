package resource

import "net/netip"

// Explained is an answer with its reason.
type Explained struct {
	Answer string `json:"answer"`
	Why    string `json:"why"`
}

// Explanation is which way a container's packets take to one destination. What
// is zero does not apply.
type Explanation struct {
	Target    string      `json:"target"` // what was asked for: an address, a name, "network NAME" or "internet"
	Address   netip.Addr  `json:"address,omitzero"`
	Names     []Explained `json:"names,omitempty"` // what each network says of the name, in the order in which they are asked
	Source    Explained   `json:"source,omitzero"`
	Rule      Explained   `json:"rule,omitzero"`
	Route     Explained   `json:"route,omitzero"`
	Gateway   Explained   `json:"gateway,omitzero"`
	Interface Explained   `json:"interface,omitzero"`
	Network   Explained   `json:"network,omitzero"`
	Plugin    Explained   `json:"plugin,omitzero"`
	Firewall  Explained   `json:"firewall,omitzero"`
}
