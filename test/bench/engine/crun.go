package engine

import (
	"context"
	"path/filepath"

	"patchbay.dev/patchbay/test/bench/host"
)

// Crun is the bare OCI runtime with a prepared bundle, whose network namespace stays empty.
type Crun struct {
	At     *host.Host
	Bundle string
}

var _ Runner = Crun{}

// Name of the engine.
func (Crun) Name() string { return "crun" }

// Up has nothing to do.
func (Crun) Up(context.Context) error { return nil }

// Down has nothing to do.
func (Crun) Down(context.Context) error { return nil }

// Version of crun.
func (c Crun) Version(ctx context.Context) (string, error) {
	return firstLine(c.At.Output(ctx, "crun", "--version"))
}

// MostNetworks of Run: it has none.
func (Crun) MostNetworks() int { return 0 }

// Run runs "true" of the bundle.
func (c Crun) Run(ctx context.Context, _ int) error {
	return c.At.Run(ctx, "crun", "--root", filepath.Join(c.Bundle, "state"), "run", "--bundle", c.Bundle, "bench")
}
