package outer

import (
	"fmt"
	"sync/atomic"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link/rate"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
)

// Rates holds the rates of a sandbox's interfaces at their ends on the host.
type Rates struct {
	Sandbox string // id
	applied atomic.Bool
}

// Apply bounds an interface whose link was just made, if it is to be bounded. A
// kind of link that has no end on the host is errdefs.ErrNotImplemented.
func (r *Rates) Apply(i wiring.Interface) error {
	if i.RateIn == 0 && i.RateOut == 0 {
		return nil
	}
	port, ok := i.Link.(wiring.BridgePort)
	if !ok {
		return fmt.Errorf("link %T: its rate cannot be held: %w", i.Link, errdefs.ErrNotImplemented)
	}
	r.applied.Store(true)
	return rate.Apply(nil, rate.Limit{Port: port.Port, Owner: r.Sandbox, In: i.RateIn, Out: i.RateOut})
}

// Lift takes away what Apply made for an interface that is gone.
func (r *Rates) Lift(i wiring.Interface) error {
	port, ok := i.Link.(wiring.BridgePort)
	if !ok || i.RateOut == 0 {
		return nil
	}
	return rate.RemovePort(nil, port.Port)
}

// Remove takes away what Apply made, at the end of the sandbox.
func (r *Rates) Remove() error {
	if !r.applied.Load() {
		return nil
	}
	return RemoveRates(r.Sandbox)
}

// RemoveRates takes away what a helper that was killed left of a sandbox's rates.
func RemoveRates(sandbox string) error { return rate.Remove(nil, sandbox) }
