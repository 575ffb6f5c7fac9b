// Package delegated has network plugins make the interfaces of a sandbox themselves
// (strategy "delegated"), straight by their sockets: it works without patchbayd.
package delegated

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/client/pluginclient"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// timeout bounds a call: a plugin may have others make the interface.
const timeout = 30 * time.Second

// Place is a network namespace in which interfaces are made.
type Place struct {
	Within *link.Handle // on it
	Path   string       // by which plugins open it
}

// Attach has the plugin that gave a lease, which is held, make a planned interface. One
// that cannot, or makes another than what it allocated, is an error, and has been told to
// remove what it has made.
func (p Place) Attach(ctx context.Context, lease resource.LeaseReference, i wiring.Interface) error {
	err := call(ctx, lease, func(ctx context.Context, plugin *pluginclient.Client) error {
		answer, err := plugin.Attach(ctx, &pluginv1.AttachRequest{Key: lease.Key, NetworkNamespace: p.Path, InterfaceName: i.Name})
		if err != nil {
			return err
		}
		made, err := wire.AttachmentFromProto(answer.GetAttachment())
		if err != nil {
			return err
		}
		return errors.Join(sameAddresses(i, made), p.look(i))
	})
	if err != nil {
		// What it still has goes with the lease at the latest.
		_ = p.Detach(context.WithoutCancel(ctx), lease, i.Name)
	}
	return err
}

// Detach has the plugin remove an interface that it has made. Where it does not, as when
// it is dead, the interface is removed all the same: the rest goes when the lease is let
// go.
func (p Place) Detach(ctx context.Context, lease resource.LeaseReference, name string) error {
	err := call(ctx, lease, func(ctx context.Context, plugin *pluginclient.Client) error {
		_, err := plugin.Detach(ctx, &pluginv1.DetachRequest{Key: lease.Key, NetworkNamespace: p.Path, InterfaceName: name})
		return err
	})
	if removeErr := p.Within.Delete(name); removeErr != nil {
		return errors.Join(err, removeErr)
	}
	return nil
}

func call(ctx context.Context, lease resource.LeaseReference, f func(context.Context, *pluginclient.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	plugin := pluginclient.Dial(lease.Socket, lease.Codec)
	defer plugin.Close()
	return f(ctx, plugin)
}

// sameAddresses compares what a plugin says that it has made with what it allocated:
// names, routes and leases are of that.
func sameAddresses(i wiring.Interface, made resource.Attachment) error {
	var addresses []netip.Prefix
	for _, a := range []netip.Prefix{made.IPv4Address, made.IPv6Address} {
		if a.IsValid() {
			addresses = append(addresses, a)
		}
	}
	return differs("addresses", fmt.Sprint(addresses), fmt.Sprint(i.Addresses))
}

// look compares the interface that is there with what was planned.
func (p Place) look(i wiring.Interface) error {
	made, err := p.Within.Interface(i.Name)
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("its plugin has made none of that name: %w", errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return err
	}
	var faults []error
	if i.MAC != "" {
		faults = append(faults, differs("mac address", string(made.MAC), string(i.MAC)))
	}
	if i.MTU != 0 {
		faults = append(faults, differs("mtu", fmt.Sprint(made.MTU), fmt.Sprint(i.MTU)))
	}
	return errors.Join(faults...)
}

func differs(what, got, want string) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("its plugin has made it with %s %s, want %s as allocated: %w", what, got, want, errdefs.ErrFailedPrecondition)
}
