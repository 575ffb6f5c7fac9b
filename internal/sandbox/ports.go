package sandbox

import (
	"context"
	"net"
	"time"

	"patchbay.dev/patchbay/internal/sandbox/ports"
	"patchbay.dev/patchbay/internal/sandbox/routes"
	"patchbay.dev/patchbay/resource"
)

// reach connects from inside of a sandbox, as one of its own processes would, so
// that it does not matter what a network lets through. Where the sandbox cannot be
// entered, it connects from the host, which has addresses on its bridges.
func (s *Sandbox) reach() ports.Reach {
	if inside := s.inside(); inside != nil {
		return ports.Reach{Dial: inside.DialContext, Includes: func(resource.AllocatedAttachment) bool { return true }}
	}
	return ports.Reach{
		Dial:     new(net.Dialer).DialContext,
		Includes: func(a resource.AllocatedAttachment) bool { return a.Strategy == resource.StrategyBridgePort },
	}
}

// moveTimeout bounds what is asked of plugins when ports move: whoever changes the
// networks waits for it, also where a plugin hangs.
const moveTimeout = 3 * time.Second

// movePorts has published ports follow the networks of a sandbox that lives. Where
// they cannot, as when it has none left, they stay open and lead nowhere.
func (s *Sandbox) movePorts(ctx context.Context, d design) {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	if err := s.ports.Publish(ctx, routes.ByPriority(d.allocated), s.reach()); err != nil {
		s.config.Log.Warn("published ports do not follow the networks", "error", err)
	}
}

func (s *Sandbox) closePorts(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	s.ports.Close(ctx)
}
