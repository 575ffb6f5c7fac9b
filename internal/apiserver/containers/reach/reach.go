// Package reach calls the runtime helpers of containers that run: for further
// processes, for what is used, for the ways of packets.
package reach

import (
	"context"
	"time"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/runtimehelper"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Running is a container whose main process can be reached.
type Running struct {
	ID, Name string
	Process  resource.Process // the main one, as configured
	Helper   runtimehelper.Helper
	// Explain says why a call of the helper failed; nil stays nil.
	Explain func(error) error
}

// errorf returns an error about the container.
func (r Running) errorf(kind error, format string, args ...any) error {
	return fault.New(kind, "container %s: "+format, append([]any{r.Name}, args...)...)
}

// Containers are those that there are.
type Containers interface {
	// FindRunning returns the container of a name, an id or a unique prefix of an
	// id. One that does not run is errdefs.ErrFailedPrecondition.
	FindRunning(name string) (Running, error)
	// AllRunning returns all that run, the youngest first.
	AllRunning() []Running
	// Waiting returns a context for a call that waits for a container; it ends when
	// patchbayd goes down, which GoingDown then says.
	Waiting(ctx context.Context) (context.Context, context.CancelFunc)
	GoingDown(err error) error
}

// Calls are the calls of helpers. All fields are required.
type Calls struct {
	Containers Containers
	// Timeout bounds what a helper may have to work for, GraceTimeout all else,
	// StatsTimeout its answer to Stats.
	Timeout, GraceTimeout, StatsTimeout time.Duration
}

// Explain says which way packets of a running container take to an address or
// name, and why; for an empty target to each network and the internet.
func (c Calls) Explain(ctx context.Context, name, target string) ([]resource.Explanation, error) {
	r, err := c.Containers.FindRunning(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	answer, err := r.Helper.Client.Explain(ctx, &sandboxv1.ExplainRequest{Target: target})
	if err != nil {
		return nil, r.Explain(err)
	}
	return wire.ExplanationsFromProto(answer.GetExplanations())
}
