package oci

import (
	"net/netip"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/sandbox/explain"
)

var _ explain.Kernel = (*Engine)(nil)

// RouteTo asks the kernel in the sandbox's network namespace.
func (e *Engine) RouteTo(destination, source netip.Addr) (explain.Route, error) {
	inside, err := link.Open(e.namespace)
	if err != nil {
		return explain.Route{}, err
	}
	defer inside.Close()
	r, err := inside.RouteTo(destination, source)
	return explain.Route(r), err
}
