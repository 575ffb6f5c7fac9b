package oci

import "patchbay.dev/patchbay/internal/sandbox"

var _ sandbox.Entrant = (*Engine)(nil)

// Inside implements sandbox.Entrant.
func (e *Engine) Inside(f func() error) error { return e.namespace.Do(f) }
