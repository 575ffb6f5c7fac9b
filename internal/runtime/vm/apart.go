package vm

import (
	"context"
	"fmt"
	"os"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/runtime/delegated"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/resource"
)

// tapName is the name of the tap beside an interface that a plugin has made, in the
// namespace that only the helper has. Interfaces there have the names that they have in
// the guest: the kernel refuses one of a container that is called so.
func tapName(port int) string { return fmt.Sprintf(".tap%d", port) }

// tapDelegated has a plugin make an interface in the helper's namespace, and returns the
// queues of a tap beside it that has its frames.
func (e *Engine) tapDelegated(ctx context.Context, lease resource.LeaseReference, i wiring.Interface, port int) ([]*os.File, error) {
	apart, err := link.Open(e.namespace)
	if err != nil {
		return nil, err
	}
	defer apart.Close()
	if err := (delegated.Place{Within: apart, Path: e.reach()}).Attach(ctx, lease, i); err != nil {
		return nil, err
	}
	return apart.Tap(i.Name, link.Peer{Namespace: e.namespace, Name: tapName(port), MAC: i.MAC, MTU: i.MTU}, e.queues())
}

// deleteHostEnd deletes what hostEnd has made in the kernel, once its device is unplugged.
// What is not there is no error.
func (e *Engine) deleteHostEnd(ctx context.Context, i wiring.Interface, port int) error {
	var at *netns.Namespace // nil: the host's
	var name string
	switch l := i.Link.(type) {
	case wiring.BridgePort:
		name = l.Port
	case wiring.Macvlan:
		at, name = e.namespace, i.Name
	case wiring.Delegated:
		at, name = e.namespace, tapName(port)
	default:
		return nil
	}
	links, err := link.Open(at)
	if err != nil {
		return err
	}
	defer links.Close()
	if err := links.Delete(name); err != nil {
		return err
	}
	if l, ok := i.Link.(wiring.Delegated); ok {
		return delegated.Place{Within: links, Path: e.reach()}.Detach(ctx, l.Lease, i.Name)
	}
	return nil
}
