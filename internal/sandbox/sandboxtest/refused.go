//go:build integration

package sandboxtest

import (
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/sandbox/sandboxtest/world"
	"patchbay.dev/patchbay/resource"
)

// refusal is a bootstrap that fails.
type refusal struct {
	change func(*sandboxv1.BootstrapRequest, *world.Plugin)
	kind   error
	text   string
	dear   bool // the isolation is made before it fails
}

func refusals() map[string]refusal {
	all := map[string]refusal{
		"plugin refuses": {kind: errdefs.ErrNotFound, text: "no such lease", change: func(r *sandboxv1.BootstrapRequest, p *world.Plugin) {
			p.Refused = r.GetAttachments()[1].GetLease().GetKey()
		}},
		"no plugin": {kind: errdefs.ErrUnavailable, text: "net1", change: func(r *sandboxv1.BootstrapRequest, _ *world.Plugin) {
			r.Attachments[1].Lease.Socket = filepath.Join(filepath.Dir(r.Attachments[1].GetLease().GetSocket()), "nobody.sock")
		}},
		"no such bridge": {kind: errdefs.ErrNotFound, text: "nobridge", change: func(r *sandboxv1.BootstrapRequest, _ *world.Plugin) {
			r.Attachments[1].AdditionalData = []byte(`{"bridge":"nobridge","port":"port1"}`)
		}},
		"nonsense from a plugin": {kind: errdefs.ErrFailedPrecondition, text: "net1", change: func(r *sandboxv1.BootstrapRequest, _ *world.Plugin) {
			r.Attachments[1].AdditionalData = []byte(`{"bridge":7}`)
		}},
		"delegated to a plugin that does not": {kind: errdefs.ErrNotFound, text: "unknown/1", dear: true, change: func(r *sandboxv1.BootstrapRequest, _ *world.Plugin) {
			r.Attachments[1].Strategy, r.Attachments[1].Lease.Key = resource.StrategyDelegated, "unknown/1"
		}},
		"another interface than delegated": {kind: errdefs.ErrFailedPrecondition, text: "want " + world.MACAt(1) + " as allocated", change: func(r *sandboxv1.BootstrapRequest, p *world.Plugin) {
			r.Attachments[1].Strategy = resource.StrategyDelegated
			p.Spoil = func(peer *link.Peer) { peer.MAC = "02:00:00:00:99:99" }
		}},
		"no interface of the name delegated": {kind: errdefs.ErrFailedPrecondition, text: "has made none of that name", dear: true, change: func(r *sandboxv1.BootstrapRequest, p *world.Plugin) {
			r.Attachments[1].Strategy = resource.StrategyDelegated
			p.Spoil = func(peer *link.Peer) { peer.Name = "other" }
		}},
		"unknown strategy": {kind: errdefs.ErrFailedPrecondition, text: "teleport", change: func(r *sandboxv1.BootstrapRequest, _ *world.Plugin) {
			r.Attachments[1].Strategy = "teleport"
		}},
		"no source of a mount": {kind: errdefs.ErrInvalidArgument, text: "/not/here", change: func(r *sandboxv1.BootstrapRequest, _ *world.Plugin) {
			r.Mounts = []*typesv1.Mount{{Type: typesv1.MountType_MOUNT_TYPE_BIND, Source: "/not/here", Target: "/x"}}
		}},
		"bad capability": {kind: errdefs.ErrInvalidArgument, text: "CAP_FLY", dear: true, change: func(r *sandboxv1.BootstrapRequest, _ *world.Plugin) {
			r.CapabilitiesAdd = []string{"CAP_FLY"}
		}},
		"working directory is a file": {kind: errdefs.ErrInvalidArgument, text: "/etc/plain", dear: true, change: func(r *sandboxv1.BootstrapRequest, _ *world.Plugin) {
			r.Process.WorkingDirectory = "/etc/plain"
		}},
		"bad command with init": {kind: errdefs.ErrNotFound, text: `exec: "nothere"`, dear: true, change: func(r *sandboxv1.BootstrapRequest, _ *world.Plugin) {
			r.Process.Args, r.Init = []string{"nothere"}, true
		}},
	}
	for name, x := range notThere {
		all["command/"+name] = refusal{kind: x.kind, text: x.text, dear: name != "not in PATH", change: func(r *sandboxv1.BootstrapRequest, _ *world.Plugin) {
			r.Process = x.process
		}}
	}
	return all
}

// testRefused: whichever step fails, nothing is left, and the helper ends; also of what
// was prepared while nobody knew yet that another one would fail.
func testRefused(t *testing.T, c Config) {
	for name, x := range refusals() {
		if x.dear && c.Dear {
			continue // that it is undone shows elsewhere, that it fails shows with Exec
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.New(t, []string{resource.StrategyBridgePort})
			h := Start(t, c, w.Host)
			p := world.ServePlugin(t, filepath.Join(w.Dir, "p.sock"))
			r := h.Request("true")
			r.Attachments = []*typesv1.AllocatedAttachment{w.Attachment(t, h.ID, p, 0), w.Attachment(t, h.ID, p, 1)}
			x.change(r, p)
			if _, err := h.Client.Prepare(h.Context(), &sandboxv1.PrepareRequest{Container: r}); err != nil {
				t.Fatal(err)
			}
			_, err := h.Client.Bootstrap(h.Context(), &sandboxv1.BootstrapRequest{Id: h.ID, Attachments: r.GetAttachments()})
			wantKind(t, "Bootstrap", err, x.kind, x.text)
			h.Gone()
			p.WantHeld(t)
			w.WantPorts(t, world.BridgeOf(0), 0)
			w.WantPorts(t, world.BridgeOf(1), 0)
			h.WantNothingLeft()
		})
	}
}
