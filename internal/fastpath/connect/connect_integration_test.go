//go:build integration

package connect_test

import (
	"testing"

	"patchbay.dev/patchbay/internal/fastpath/connect"
	"patchbay.dev/patchbay/internal/netnstest"
)

func TestOpen(t *testing.T) {
	host := netnstest.New(t)
	netnstest.Do(t, host, func() error {
		p, err := connect.Open(100)
		if err != nil {
			return err
		}
		return p.Close()
	})
}
