// Package leases asks networks for what containers wish, and gives it up.
package leases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// Networks is where leases are, by the ids of networks.
type Networks interface {
	Allocate(ctx context.Context, networkID, key, owner string, wish resource.AttachmentConfiguration) (resource.AllocatedAttachment, error)
	// Release gives a lease up; with forget also what is reserved and
	// remembered for its key. A held lease is errdefs.ErrFailedPrecondition.
	Release(ctx context.Context, networkID, key string, forget bool) error
	// Reserve sets static addresses aside; without a lease.
	Reserve(ctx context.Context, networkID string, r pluginwire.Reservation) error
	// Depart says that a lease is being given up, until done is called: who is refused something meanwhile
	// is waiting for that. It is not ok where the host has to have something back first.
	Depart(networkID string) (done func(), ok bool)
}

// Container is a container as networks know it.
type Container struct {
	ID       string
	Name     string
	Hostname string                             // of attachments that have none
	Wishes   []resource.AttachmentConfiguration // networks by id, interfaces with names
}

// Only is the container with one of its wishes.
func (c Container) Only(wish resource.AttachmentConfiguration) Container {
	c.Wishes = []resource.AttachmentConfiguration{wish}
	return c
}

// key names an allocation: nothing but the container and its interface goes in,
// so that it is the same at every start and whatever the other interfaces are.
func (c Container) key(wish resource.AttachmentConfiguration) string {
	return c.ID + "/" + wish.InterfaceName
}

// Reservation is what a wish sets aside on its network while its container
// exists.
func (c Container) Reservation(wish resource.AttachmentConfiguration) pluginwire.Reservation {
	return pluginwire.Reservation{
		Key: c.key(wish), Owner: c.Name,
		Configuration: resource.AttachmentConfiguration{IPv4Address: wish.IPv4Address, IPv6Address: wish.IPv6Address, MACAddress: wish.MACAddress},
	}
}

// AnyStatic reports whether one of the wishes is for addresses that are to be
// kept.
func AnyStatic(wishes []resource.AttachmentConfiguration) bool {
	return slices.ContainsFunc(wishes, resource.AttachmentConfiguration.Static)
}

// Reserve sets the static addresses of a container aside on all networks, in
// parallel.
func Reserve(ctx context.Context, n Networks, c Container) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range c.Wishes {
		if w.Static() {
			group.Go(func() error { return n.Reserve(ctx, w.Network, c.Reservation(w)) })
		}
	}
	return group.Wait()
}

// Allocate asks all networks of a container at once. A fault is that of the
// first network that has one. The others are let finish: a call that was given up
// could still take an address after the release that follows.
func Allocate(ctx context.Context, n Networks, c Container) ([]resource.AllocatedAttachment, error) {
	out := make([]resource.AllocatedAttachment, len(c.Wishes))
	var group errgroup.Group
	for i, w := range c.Wishes {
		group.Go(func() (err error) {
			w.Hostname = cmp.Or(w.Hostname, c.Hostname)
			out[i], err = n.Allocate(ctx, w.Network, c.key(w), c.Name, w)
			return err
		})
	}
	return out, group.Wait()
}

// Release gives all leases of a container up, in parallel, with forget also what
// is reserved for it. After an error, of which there may be one for each network, the plugin
// frees a lease that nobody holds by itself, and is told what is reserved whenever it starts.
func Release(ctx context.Context, n Networks, c Container, forget bool) error {
	faults := make([]error, len(c.Wishes))
	var parallel sync.WaitGroup
	for i, w := range c.Wishes {
		parallel.Go(func() {
			err := UntilNotHeld(ctx, func() error { return n.Release(ctx, w.Network, c.key(w), forget) })
			if err != nil {
				faults[i] = fmt.Errorf("network %s: %w", w.Network, err)
			}
		})
	}
	parallel.Wait()
	return errors.Join(faults...)
}

// Part parts a container's wishes: those whose leases have to be released before anybody may know that its run
// has ended, and those for whose release others wait until done is called.
func Part(n Networks, c Container) (soon, late Container, done func()) {
	all := c.Wishes
	soon, late = c, c
	soon.Wishes, late.Wishes = nil, nil
	var departures []func()
	for _, w := range all {
		departed, ok := n.Depart(w.Network)
		if !ok {
			soon.Wishes = append(soon.Wishes, w)
			continue
		}
		late.Wishes = append(late.Wishes, w)
		departures = append(departures, departed)
	}
	return soon, late, func() {
		for _, departed := range departures {
			departed()
		}
	}
}

// The pauses of UntilNotHeld.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 200 * time.Millisecond
)

// UntilNotHeld calls release until it does not say that a lease is held
// (errdefs.ErrFailedPrecondition), or ctx ends: a plugin notices a moment after
// a helper's death that its stream is gone.
func UntilNotHeld(ctx context.Context, release func() error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := release()
		if !errors.Is(err, errdefs.ErrFailedPrecondition) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}
