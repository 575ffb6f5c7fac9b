package firewall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/firewall/interest"
	"patchbay.dev/patchbay/internal/firewall/ruleset"
	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/subscription"
)

// Faults compares the kernel's state with the desired one, one line for each
// difference. Before the first Ensure and after Remove there are none.
//
// It looks again before it believes a fault: the kernel's lists are read
// piece by piece, and another network's change in between shows both the old
// and the new rules.
func (n *Network) Faults() (faults []string) {
	n.applying.Lock() // else a change under way looks like a fault
	defer n.applying.Unlock()
	const looks = 3
	for range looks {
		if faults = n.look(); len(faults) == 0 {
			break
		}
	}
	return faults
}

func (n *Network) look() []string {
	n.mu.Lock()
	serving, plain := n.serving, n.plain
	n.mu.Unlock()
	if !serving {
		return nil
	}
	var faults []string
	err := n.kernel.Tables(func(c *nftables.Conn) (err error) {
		faults, err = n.differences(c, plain)
		return err
	})
	if err != nil {
		faults = append(faults, fmt.Sprintf("nftables: %v", err))
	}
	return faults
}

// differences are the faults up to an error.
func (n *Network) differences(c *nftables.Conn, plain bool) (faults []string, err error) {
	present, err := ruleset.Present(c)
	if err != nil {
		return nil, err
	}
	if len(present) < len(ruleset.Tables(plain)) {
		return []string{"nftables: the table " + TableName + " is gone"}, nil
	}
	if _, faults, err = ruleset.Compare(c, present); err != nil {
		return faults, err
	}
	own, err := n.ownElements(c, present)
	if err != nil {
		return faults, err
	}
	have, missing := idsOf(own), 0
	for _, e := range n.desired(plain) {
		if !have[idOf(e.Set, e.Value.Key)] {
			missing++
		}
	}
	if missing > 0 {
		faults = append(faults, fmt.Sprintf("nftables: %d elements of the network are missing", missing))
	}
	return faults, nil
}

// Watch is what is told of the packet filter.
type Watch struct {
	network *Network
	source  *hostnews.Source
}

// Watch begins to gather the removals that may hurt the network. An error means
// that the kernel does not tell of changes. What is removed from now on is repaired
// by Heal, to which the watch has to come.
func (n *Network) Watch() (*Watch, error) {
	source, err := hostnews.Open(n.config.Listener, hostnews.Interest{Table: TableName, Owner: n.config.Network}, n.subscribe)
	if err != nil {
		return nil, fmt.Errorf("nftables: watch: %w", err)
	}
	return &Watch{n, source}, nil
}

func (n *Network) subscribe() (*subscription.Subscription, error) {
	filter, err := interest.Removals(n.config.Network)
	if err != nil {
		return nil, err
	}
	socket, err := subscription.Open(n.config.Namespace, unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return nil, err
	}
	if err := socket.Filter(filter); err != nil { // then each change wakes the process
		n.config.Log.Warn("the watch of the packet filter is told of other networks too", "error", err)
	}
	return socket, nil
}

// Heal repairs the tables whenever somebody else removes something of them,
// until ctx ends.
func (w *Watch) Heal(ctx context.Context) {
	stop := context.AfterFunc(ctx, w.source.Close)
	defer stop()

	hurt := make(chan struct{}, 1) // one repair answers for all removals before it
	var repairs sync.WaitGroup
	repairs.Go(func() {
		for range hurt {
			w.network.repair()
		}
	})
	defer repairs.Wait()
	defer close(hurt)
	for ctx.Err() == nil {
		messages, err := w.source.Receive()
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			break
		}
		relevant := errors.Is(err, unix.ENOBUFS) // some were lost
		for _, m := range messages {
			relevant = relevant || w.network.removes(m.Header.Type, m.Data)
		}
		if relevant {
			select {
			case hurt <- struct{}{}:
			default:
			}
		}
	}
}

func (n *Network) repair() {
	n.applying.Lock()
	defer n.applying.Unlock()
	faults := n.look() // once: what is there already is added in vain, and nobody is told
	if len(faults) == 0 {
		return
	}
	if err := n.ensure(); err != nil {
		n.config.Log.Error("the packet filter cannot be repaired", "faults", faults, "error", err)
		return
	}
	n.config.Log.Warn("the packet filter was repaired", "faults", faults)
}

// removes reports whether a message tells of the removal of something that may
// be the network's.
func (n *Network) removes(kind uint16, data []byte) bool {
	if kind>>8 != unix.NFNL_SUBSYS_NFTABLES {
		return false
	}
	switch kind & 0xff {
	case unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE, unix.NFT_MSG_DELSET:
		return bytes.Contains(data, []byte(TableName+"\x00"))
	case unix.NFT_MSG_DELSETELEM:
		return bytes.Contains(data, []byte(n.config.Network)) && n.misses(data)
	}
	return false
}

// elementKey is the key of the first element that a message speaks of: the
// kernel sends one for each.
func elementKey(data []byte) ([]byte, error) {
	return interest.Element(data, unix.NFTA_SET_ELEM_KEY, unix.NFTA_DATA_VALUE)
}

// isNeighbour reports whether the key of an element is of a port's address.
func (n *Network) isNeighbour(key []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.ports {
		for _, a := range p.Addresses {
			if bytes.HasSuffix(key, a.AsSlice()) {
				return true
			}
		}
	}
	return false
}

// misses reports whether an element that was removed should be there. Those of a
// port that has been revoked should not: most removals are the network's own.
func (n *Network) misses(data []byte) bool {
	for _, set := range mapsOfForwards {
		if bytes.Contains(data, []byte(set+"\x00")) {
			key, err := elementKey(data)
			return err != nil || n.isForward(set, key)
		}
	}
	if bytes.Contains(data, []byte(ruleset.SetNeighbours4+"\x00")) || bytes.Contains(data, []byte(ruleset.SetNeighbours6+"\x00")) {
		key, err := elementKey(data)
		return err != nil || n.isNeighbour(key)
	}
	if !bytes.Contains(data, []byte(PortPrefix)) || bytes.Contains(data, []byte(n.config.Bridge)) {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.ports {
		if bytes.Contains(data, []byte(name)) {
			return true
		}
	}
	return false
}
