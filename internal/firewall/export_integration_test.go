//go:build integration

package firewall

import "patchbay.dev/patchbay/internal/netnstest"

// Pending reports whether there is something to receive.
func (w *Watch) Pending() bool { return netnstest.Pending(w.source) }

// Close ends the watch.
func (w *Watch) Close() { w.source.Close() }
