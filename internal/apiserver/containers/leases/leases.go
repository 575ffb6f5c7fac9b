// Package leases knows how containers are known to networks.
package leases

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Key names an allocation: nothing but the container and the place of its
// attachment goes in, so that it is the same at every start.
func Key(id string, place int) string { return fmt.Sprintf("%s/%d", id, place) }

// AnyStatic reports whether one of the wishes is for addresses that are to be
// kept.
func AnyStatic(wishes []resource.AttachmentConfiguration) bool {
	return slices.ContainsFunc(wishes, resource.AttachmentConfiguration.Static)
}

// Reservation is what a wish sets aside on its network while its container
// exists.
func Reservation(owner resource.Metadata, place int, wish resource.AttachmentConfiguration) wire.Reservation {
	return wire.Reservation{
		Key: Key(owner.ID, place), Owner: owner.Name,
		Configuration: resource.AttachmentConfiguration{IPv4Address: wish.IPv4Address, IPv6Address: wish.IPv6Address, MACAddress: wish.MACAddress},
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
