package oci

import (
	"context"
	"net"

	"patchbay.dev/patchbay/internal/resolver"
	"patchbay.dev/patchbay/internal/sandbox/names"
)

var _ names.Insider = (*Engine)(nil)

// ListenNames implements names.Insider.
func (e *Engine) ListenNames(context.Context) (s resolver.Sockets, err error) {
	err = e.namespace.Do(func() (err error) {
		s, err = resolver.Listen()
		return err
	})
	return s, err
}

// DialContext implements names.Insider.
func (e *Engine) DialContext(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = e.namespace.Do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}
