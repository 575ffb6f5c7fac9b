// Package lease keeps the leases of one network, which are what nobody can
// forget to give back: pending (allocated, a deadline runs), then held (its
// sandbox holds a stream open), then orphaned (the stream was lost), then
// free. It hands out the addresses, sets static ones aside, knows the names of
// live attachments, and takes the port of a dead sandbox off the network before
// anybody else can have its addresses.
package lease

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"patchbay.dev/patchbay/internal/lease/pool"
	"patchbay.dev/patchbay/resource"
)

// Network is what a table calls to let ports onto the network and to take them
// off. Two calls for the same key are never under way at once.
type Network interface {
	// Plan returns the parameters of the port's strategy, which travel as JSON.
	Plan(p Port, options map[string]string) (any, error)
	// Admit lets a port send and receive; again when it is held anew.
	Admit(ctx context.Context, p Port) error
	// Expel takes a port off, whatever the sandbox does. It succeeds when there
	// is nothing left to take off.
	Expel(ctx context.Context, p Port) error
}

// Port is one attachment as its network sees it.
type Port struct {
	Key        string
	Owner      string // container name
	Attachment resource.Attachment
	// NetworkNamespace is a path to the sandbox's network namespace, open for as
	// long as the port is held; empty in Plan and where there is none.
	NetworkNamespace string
	// AutomaticMAC tells that nobody asked for Attachment.MACAddress; in Plan only.
	AutomaticMAC bool
	// Familiar tells that the addresses have had no other MAC address on this network, so that no
	// neighbour has to be told of this one; in Plan only.
	Familiar bool
}

// Realization is what a network was made of. Families without a subnet have no
// addresses.
type Realization struct {
	IPv4Subnet  netip.Prefix
	IPv4Gateway netip.Addr
	IPv6Subnet  netip.Prefix
	IPv6Gateway netip.Addr
	MTU         int // 0: unknown
	Routes      []resource.Route
	DNS         resource.DNSConfiguration
	Reserved    []netip.Addr // beside the gateways, never given out
	MaxPorts    int          // 0: as many as there are addresses
}

// Opened is a started network. It does not change.
type Opened struct {
	Network
	ID, Name    string
	Realization Realization
	Ranges      []resource.AddressRange // given on request only
}

// Times are how long a lease stays in a state that must pass; zero: a default.
type Times struct {
	Pending  time.Duration // until held; 30 s
	Orphaned time.Duration // until held again, after a restart of the process; 3 s
	Retry    time.Duration // first pause after a failed Expel; 250 ms
}

func (t Times) withDefaults() Times {
	for value, preset := range map[*time.Duration]time.Duration{
		&t.Pending: 30 * time.Second, &t.Orphaned: 3 * time.Second, &t.Retry: 250 * time.Millisecond,
	} {
		if *value == 0 {
			*value = preset
		}
	}
	return t
}

// Config is what a Table needs.
type Config struct {
	Directory string // for its files
	Times     Times
	Log       *slog.Logger
	Notify    func() // told that Troubles may have changed
	Used      func() // told of each change of Usage, once Usage returns it
}

// pool is that of the network, of which nothing is given out; owner names the container of
// a key.
func (n *Opened) pool(owner func(key string) string) *pool.Pool {
	r := n.Realization
	return pool.New(pool.Config{
		ID: n.ID, Name: n.Name, IPv4Subnet: r.IPv4Subnet, IPv6Subnet: r.IPv6Subnet,
		Excluded: append([]netip.Addr{r.IPv4Gateway, r.IPv6Gateway}, r.Reserved...), Owner: owner,
	})
}
