package lease

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/lease/pool"
	"patchbay.dev/patchbay/resource"
)

const maxKey = 100

// checkKey refuses what does not look like a key: a container's id, "/", the
// attachment's place. A regular expression would be compiled in each plugin.
func checkKey(key string) error {
	alphanumeric := func(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' }
	valid := 0 < len(key) && len(key) <= maxKey && alphanumeric(key[0])
	for i := range len(key) {
		valid = valid && (alphanumeric(key[i]) || strings.IndexByte("._/-", key[i]) >= 0)
	}
	if !valid {
		return fmt.Errorf("key %q: want 1 to 100 of a-z, A-Z, 0-9, '.', '_', '-', '/': %w", key, errdefs.ErrInvalidArgument)
	}
	return nil
}

// Allocate gives a key a lease, or the one that it has. A lease that is on its
// way to freedom is waited for: the old port must be off the network first.
func (t *Table) Allocate(ctx context.Context, key, owner string, wish resource.AttachmentConfiguration) (Lease, error) {
	if err := checkKey(key); err != nil {
		return Lease{}, err
	}
	for {
		view, changed, err := t.tryAllocate(key, owner, wish)
		if changed == nil {
			return view, err
		}
		if err := await(ctx, changed); err != nil {
			return Lease{}, fmt.Errorf("lease %s: its former port is not off the network yet: %w", key, err)
		}
	}
}

// tryAllocate returns a channel when there is something to wait for.
func (t *Table) tryAllocate(key, owner string, wish resource.AttachmentConfiguration) (Lease, <-chan struct{}, error) {
	defer t.keys.Lock(key)()
	network, view, changed, err := t.take(key, owner, wish)
	if network == nil || err != nil {
		return view, changed, err
	}
	view, err = t.complete(network, key, wish)
	if err != nil {
		t.giveUp(key)
	}
	t.used()
	return view, nil, err
}

// take checks the wish and sets addresses aside in a lease that has no state
// yet. It returns no network when there is nothing left to do.
func (t *Table) take(key, owner string, wish resource.AttachmentConfiguration) (*Opened, Lease, <-chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	network, err := t.serving()
	if err != nil {
		return nil, Lease{}, nil, err
	}
	if e := t.entries[key]; e != nil && e.Lease != nil {
		return t.existing(e)
	}
	if err := errors.Join(t.checkRoom(network), t.checkWish(key, wish)); err != nil {
		return nil, Lease{}, nil, err
	}
	e := t.entries[key]
	if e == nil {
		e = &entry{Key: key}
	}
	want := pool.Addresses{IPv4: wish.IPv4Address, IPv6: wish.IPv6Address, MAC: cmp.Or(wish.MACAddress, e.Reserved.MAC)}
	got, err := t.pool.Take(key, want, e.Remembered)
	if err != nil {
		return nil, Lease{}, nil, err
	}
	t.entries[key] = e
	e.Owner = owner
	e.Lease = &lease{Attachment: network.attachment(wish, got)}
	if err := t.noteStrangers(e.Lease.Attachment); err != nil {
		t.log.Error("whom neighbours may look for elsewhere cannot be written down", "network", network.Name, "error", err)
	}
	return network, Lease{}, nil, nil
}

// checkRoom refuses a port that the network cannot have. Callers hold mu.
func (t *Table) checkRoom(network *Opened) error {
	most := network.Realization.MaxPorts
	if most == 0 || len(t.entries) < most {
		return nil
	}
	ports := 0
	for _, e := range t.entries {
		if e.Lease != nil {
			ports++
		}
	}
	if ports < most {
		return nil
	}
	return fmt.Errorf("network %s: has %d containers, and there can be no more on it: put some on another network: %w",
		network.Name, ports, errdefs.ErrResourceExhausted)
}

func (t *Table) existing(e *entry) (*Opened, Lease, <-chan struct{}, error) {
	switch l := e.Lease; {
	case l.trouble != nil:
		return nil, Lease{}, nil, fmt.Errorf("lease %s: its former port cannot be taken off the network: %w: %w",
			e.Key, errdefs.ErrUnavailable, l.trouble)
	case l.State == resource.LeaseOrphaned:
		return nil, Lease{}, l.changed, nil
	case l.State == resource.LeasePending:
		l.enter(resource.LeasePending)
		t.arm(e, t.times.Pending)
	}
	return nil, e.view(), nil, nil
}

// checkWish reports all that is wrong with a wish. Callers hold mu.
func (t *Table) checkWish(key string, wish resource.AttachmentConfiguration) error {
	r := t.network.Realization
	faults := []error{
		t.pool.Check(key, pool.Addresses{IPv4: wish.IPv4Address, IPv6: wish.IPv6Address, MAC: wish.MACAddress}),
	}
	minMTU := resource.MinMTU
	if r.IPv6Subnet.IsValid() {
		minMTU = resource.MinMTUIPv6
	}
	maxMTU := r.MTU
	if maxMTU == 0 {
		maxMTU = resource.MaxMTU
	}
	if wish.MTU != 0 && (wish.MTU < minMTU || wish.MTU > maxMTU) {
		faults = append(faults, fmt.Errorf("mtu %d: network %s carries %d to %d: %w",
			wish.MTU, t.network.Name, minMTU, maxMTU, errdefs.ErrInvalidArgument))
	}
	return errors.Join(faults...)
}

// ownerOf names the container of a key. Callers hold mu.
func (t *Table) ownerOf(key string) string {
	if e := t.entries[key]; e != nil {
		return e.owner()
	}
	return key
}

// attachment is the answer to a wish. The addresses have been chosen.
func (n *Opened) attachment(wish resource.AttachmentConfiguration, got pool.Addresses) resource.Attachment {
	r := n.Realization
	a := resource.Attachment{
		NetworkID:       n.ID,
		Network:         n.Name,
		Hostname:        wish.Hostname,
		Aliases:         wish.Aliases,
		MACAddress:      got.MAC,
		MTU:             wish.MTU,
		InterfaceName:   wish.InterfaceName,
		GatewayPriority: wish.GatewayPriority,
		Routes:          r.Routes,
		DNS:             r.DNS,
	}
	if a.MTU == 0 {
		a.MTU = r.MTU
	}
	if got.IPv4.IsValid() {
		a.IPv4Address, a.IPv4Gateway = netip.PrefixFrom(got.IPv4, r.IPv4Subnet.Bits()), r.IPv4Gateway
	}
	if got.IPv6.IsValid() {
		a.IPv6Address, a.IPv6Gateway = netip.PrefixFrom(got.IPv6, r.IPv6Subnet.Bits()), r.IPv6Gateway
	}
	return a
}

// complete asks the network for the parameters of the port and makes the lease
// pending. It is written down when it is held: one that is lost because this process was
// killed before that was of no use to anybody yet. What is written of the key must not be
// taken for it.
func (t *Table) complete(network *Opened, key string, wish resource.AttachmentConfiguration) (Lease, error) {
	t.mu.Lock()
	port := t.entries[key].port()
	port.AutomaticMAC = wish.MACAddress == "" && t.entries[key].Reserved.MAC == ""
	port.Familiar = t.familiar(port.Attachment)
	t.mu.Unlock()
	parameters, err := network.Plan(port, wish.Options)
	if err != nil {
		return Lease{}, fmt.Errorf("network %s: %w", network.Name, err)
	}
	data, err := json.Marshal(parameters)
	if err != nil {
		return Lease{}, fmt.Errorf("network %s: parameters of the port: %w: %w", network.Name, errdefs.ErrInternal, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key]
	e.Lease.AdditionalData = data
	e.Lease.enter(resource.LeasePending)
	e.Lease.ExpiresAt = time.Now().Add(t.times.Pending)
	if t.freed.unwritten[key] {
		if err := t.keep(e); err != nil {
			return Lease{}, err
		}
	}
	t.arm(e, t.times.Pending)
	return e.view(), nil
}

// giveUp undoes take.
func (t *Table) giveUp(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key]
	t.pool.PutBack(key, e.Remembered)
	t.dropMAC(e)
	e.Lease = nil
	if e.empty() {
		delete(t.entries, key)
	}
}

// dropMAC frees the MAC of a lease unless it is reserved. Callers hold mu.
func (t *Table) dropMAC(e *entry) {
	if mac := e.Lease.Attachment.MACAddress; mac != e.Reserved.MAC {
		t.pool.FreeMAC(e.Key, mac)
	}
}
