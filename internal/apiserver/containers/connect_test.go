package containers_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

func (w *world) connect(t tb, name string, wish resource.AttachmentConfiguration) resource.Attachment {
	t.Helper()
	a, _, err := w.service.Connect(context.Background(), name, wish)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wiring tells on which networks a container is, as it is configured, as it is
// stored and, if it runs, as it is in the sandbox.
func (w *world) wiring(t tb, name string) (configured, stored, sandbox string) {
	t.Helper()
	c, err := w.service.Get(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	show := func(wishes []resource.AttachmentConfiguration) string {
		var out []string
		for _, n := range wishes {
			out = append(out, strings.TrimPrefix(n.Network, "id-")+":"+n.InterfaceName)
		}
		return strings.Join(out, " ")
	}
	var in []string
	for _, a := range c.Status.Attachments {
		in = append(in, a.Network+":"+a.InterfaceName)
	}
	return show(c.Configuration.Networks), show(w.records.all()[c.ID].Configuration.Networks), strings.Join(in, " ")
}

// isWired compares all three; a container that does not run has no sandbox.
func (w *world) isWired(t tb, name, want string, running bool) {
	t.Helper()
	sandboxed := ""
	if running {
		sandboxed = want
	}
	configured, stored, sandbox := w.wiring(t, name)
	if configured != want || stored != want || sandbox != sandboxed {
		t.Errorf("%s: configured %q, stored %q, in the sandbox %q, want %q", name, configured, stored, sandbox, want)
	}
}

func TestConnectRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a")})
	w.start(t, "web")
	a := w.connect(t, "web", resource.AttachmentConfiguration{Network: "b", Aliases: []string{"db"}})
	if a.InterfaceName != "eth1" || a.Network != "b" || !a.IPv4Address.IsValid() {
		t.Errorf("attachment %+v", a)
	}
	w.connect(t, "web", resource.AttachmentConfiguration{Network: "a", InterfaceName: "more"})
	w.isWired(t, "web", "a:eth0 b:eth1 a:more", true)
	if err := w.service.Disconnect(ctx, "web", "a", false); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "eth0, more") {
		t.Errorf("two of them: %v", err)
	}
	for _, word := range []string{"more", "id-b"} {
		if err := w.service.Disconnect(ctx, "web", word, false); err != nil {
			t.Fatal(err)
		}
	}
	w.isWired(t, "web", "a:eth0", true)
	if diff := cmp.Diff([]string{"id-a " + id + "/eth0"}, w.networks.held()); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	// The lowest free name, again; and the same after a stop and a start.
	if a := w.connect(t, "web", resource.AttachmentConfiguration{Network: "b"}); a.InterfaceName != "eth1" {
		t.Errorf("interface %s, want eth1", a.InterfaceName)
	}
	if err := w.service.Disconnect(ctx, "web", "a", false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.service.Restart(ctx, "web", nil); err != nil {
		t.Fatal(err)
	}
	w.isWired(t, "web", "b:eth1", true)
	if err := w.service.Disconnect(ctx, "web", "b", false); err != nil { // the last one
		t.Fatal(err)
	}
	w.isWired(t, "web", "", true)
	if err := w.service.Disconnect(ctx, "web", "b", false); !errors.Is(err, errdefs.ErrNotFound) || !strings.Contains(err.Error(), "on none") {
		t.Errorf("disconnected already: %v", err)
	}
	if held := w.networks.held(); len(held) > 0 {
		t.Errorf("held: %v", held)
	}
}

func TestConnectStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, NoNetwork: true})
	w.connect(t, "web", static("a", "10.0.0.7")[0])
	w.connect(t, "web", resource.AttachmentConfiguration{Network: "b"})
	w.isWired(t, "web", "a:eth0 b:eth1", false)
	if diff := cmp.Diff([]string{"reserved id-a " + id + "/eth0"}, w.networks.held()); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	w.restart(t)
	w.isWired(t, "web", "a:eth0 b:eth1", false)
	w.start(t, "web")
	w.isWired(t, "web", "a:eth0 b:eth1", true)
	if err := w.service.Stop(context.Background(), "web", nil); err != nil {
		t.Fatal(err)
	}
	if err := w.service.Disconnect(context.Background(), "web", "a", false); err != nil {
		t.Fatal(err)
	}
	w.isWired(t, "web", "b:eth1", false)
	if held := w.networks.held(); len(held) > 0 {
		t.Errorf("held: %v", held)
	}
}

// Whatever fails, the container is on the networks that it was on, and nothing
// else is held.
func TestConnectFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		command, network string
		spoil            func(*world)
		kind             error
		text             string
		ends             bool // the container
	}{
		"no such network":  {command: "run", network: "zz", kind: errdefs.ErrNotFound},
		"form":             {command: "run", network: "", kind: errdefs.ErrInvalidArgument},
		"interface":        {command: "run", network: "b", kind: errdefs.ErrAlreadyExists, text: `interface name "eth0"`},
		"record":           {command: "run", network: "b", spoil: func(w *world) { w.records.fail = errdefs.ErrResourceExhausted }, text: "container web:"},
		"allocation":       {command: "run", network: "b", spoil: func(w *world) { w.networks.fail["b"] = errdefs.ErrUnavailable }, kind: errdefs.ErrUnavailable},
		"sandbox":          {command: "connect-error", network: "b", kind: errdefs.ErrUnavailable, text: "hold the lease"},
		"sandbox, late":    {command: "connect-late-error", network: "b", kind: errdefs.ErrUnavailable, text: "gave up"},
		"runtime":          {command: "connect-unknown", network: "b", kind: errdefs.ErrFailedPrecondition, text: "stop it first"},
		"death of sandbox": {command: "connect-death", network: "b", kind: errdefs.ErrUnavailable, text: "out of wires", ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{tc.command}, Networks: on("a")})
			w.start(t, "web")
			before := w.networks.held()
			wish := resource.AttachmentConfiguration{Network: tc.network}
			if name == "interface" {
				wish.InterfaceName = "eth0"
			}
			if tc.spoil != nil {
				tc.spoil(w)
			}
			_, _, err := w.service.Connect(context.Background(), "web", wish)
			w.records.fail = nil
			if err == nil || tc.kind != nil && !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v, want %v with %q", err, tc.kind, tc.text)
			}
			if tc.ends {
				w.wait(t, "web")
				w.isWired(t, "web", "a:eth0", false)
				return
			}
			w.isWired(t, "web", "a:eth0", true)
			if diff := cmp.Diff(before, w.networks.held()); diff != "" {
				t.Errorf("held (-want +got):\n%s", diff)
			}
		})
	}
}

// A crash at any point leaves one of the two states: the next patchbayd makes
// record and sandbox agree.
func TestCrashDuringChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a", "b")})
	w.start(t, "web")

	// Stored, and reserved, but not in the sandbox yet.
	w.service.Close()
	record := w.records.all()[id]
	record.Configuration.Networks = append(slices.Clone(record.Configuration.Networks),
		resource.AttachmentConfiguration{Network: "id-a", InterfaceName: "eth2", IPv4Address: static("a", "10.0.0.7")[0].IPv4Address})
	w.records.set(id, record)
	w.networks.leases["id-a "+id+"/eth2"] = true
	w.open(t)
	eventually(t, "connection taken back", func() bool { c, _, _ := w.wiring(t, "web"); return c == "a:eth0 b:eth1" })
	w.isWired(t, "web", "a:eth0 b:eth1", true)
	eventually(t, "lease given up", func() bool { return len(w.networks.held()) == 2 })

	// Stored, but still in the sandbox.
	w.service.Close()
	record.Configuration.Networks = record.Configuration.Networks[1:2]
	w.records.set(id, record)
	w.open(t)
	eventually(t, "disconnection finished", func() bool { _, _, s := w.wiring(t, "web"); return s == "b:eth1" })
	w.isWired(t, "web", "b:eth1", true)
	eventually(t, "lease given up", func() bool { return len(w.networks.held()) == 1 })
}

// A helper has as long for an interface as the guest of a machine may take for it.
func TestDisconnectSlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.ChangeTimeout = 0 // what patchbayd has
	w.restart(t)
	w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"disconnect-slow"}, Networks: on("a", "b")})
	w.start(t, "web")
	if err := w.service.Disconnect(context.Background(), "web", "b", false); err != nil {
		t.Errorf("disconnect: %v", err)
	}
	w.isWired(t, "web", "a:eth0", true)
}

// A sandbox that lets go of a lease after the network was asked for it in vain leaves nothing on the network.
func TestDisconnectTooLateForTheRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: append(on("a"), static("b", "10.0.1.7")...)})
	w.start(t, "web")
	asked := 0
	w.networks.down["b"] = errdefs.ErrUnavailable // it did not answer in time
	w.networks.meet = func() {
		if asked++; asked > 1 {
			w.networks.mu.Lock()
			defer w.networks.mu.Unlock()
			delete(w.networks.down, "b")
		}
	}
	if err := w.service.Disconnect(t.Context(), "web", "b", false); err != nil {
		t.Fatal(err)
	}
	if held := w.networks.held(); len(held) != 1 {
		t.Errorf("held: %v, want the lease on network a alone", held)
	}
}

// A helper that hangs keeps its interface, by force; the network has the address
// again when the stream ends.
func TestDisconnectHanging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"disconnect-hang"}, Networks: append(on("a"), static("b", "10.0.1.7")...)})
	w.start(t, "web")
	w.impatient(t, &w.config.ChangeTimeout)
	if err := w.service.Disconnect(context.Background(), "web", "b", false); !errors.Is(err, errdefs.ErrUnavailable) || !strings.Contains(err.Error(), "its runtime helper has not taken out interface eth1 within 100ms") {
		t.Errorf("disconnect: %v", err)
	}
	w.isWired(t, "web", "a:eth0 b:eth1", true)
	if held := w.networks.held(); !slices.Contains(held, "reserved id-b "+id+"/eth1") {
		t.Errorf("held %v, want its static address reserved", held)
	}
	w.impatient(t, &w.config.GraceTimeout)
	if err := w.service.Disconnect(context.Background(), "web", "b", true); err != nil {
		t.Errorf("disconnect by force: %v", err)
	}
	if configured, stored, sandbox := w.wiring(t, "web"); configured != "a:eth0" || stored != "a:eth0" || sandbox != "a:eth0 b:eth1" {
		t.Errorf("configured %q, stored %q, in the sandbox %q", configured, stored, sandbox)
	}
}

// Where the disk may be full a disconnection is stored before the sandbox hears of it; where
// it fails though there was room, it can be made again.
func TestDisconnectIsNotStored(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tight bool
		left  string // in the sandbox
		text  string
	}{
		"little room":  {tight: true, left: "a:eth0 b:eth1", text: "container web:"},
		"broken, late": {left: "a:eth0", text: "disconnect it once more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: append(on("a"), static("b", "10.0.1.7")...)})
			w.start(t, "web")
			w.records.tight, w.records.fail = tc.tight, errdefs.ErrResourceExhausted
			err := w.service.Disconnect(context.Background(), "web", "b", false)
			if !errors.Is(err, errdefs.ErrResourceExhausted) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v, want one of the record with %q", err, tc.text)
			}
			if configured, stored, sandbox := w.wiring(t, "web"); configured != "a:eth0 b:eth1" || stored != configured || sandbox != tc.left {
				t.Errorf("configured %q, stored %q, in the sandbox %q; want %q there", configured, stored, sandbox, tc.left)
			}
			if held := w.networks.held(); !slices.Contains(held, "reserved id-b "+id+"/eth1") {
				t.Errorf("held %v, want its static address reserved", held)
			}
			w.records.fail = nil
			if err := w.service.Disconnect(context.Background(), "web", "b", false); err != nil {
				t.Errorf("disconnect once more: %v", err)
			}
			w.isWired(t, "web", "a:eth0", true)
			if diff := cmp.Diff([]string{"id-a " + id + "/eth0"}, w.networks.held()); diff != "" {
				t.Errorf("held (-want +got):\n%s", diff)
			}
		})
	}
}

// Changes of one container come one after the other, whatever else happens to it.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createFrom(t, "web", resource.ContainerTemplate{Image: "box", Command: []string{"run"}, Networks: on("a")})
	ctx := context.Background()
	done := make(chan error, 40)
	for range 10 {
		go func() { _, _, err := w.service.Connect(ctx, "web", on("b")[0]); done <- err }()
		go func() { _, err := w.service.Start(ctx, "web", false); done <- err }()
		go func() { done <- w.service.Stop(ctx, "web", nil) }()
		go func() { done <- w.service.Disconnect(ctx, "web", "eth1", false) }()
	}
	for range cap(done) {
		if err := <-done; err != nil && !errdefs.IsFailedPrecondition(err) && !errdefs.IsNotFound(err) && !errdefs.IsAborted(err) && !errdefs.IsUnavailable(err) {
			t.Errorf("%v", err)
		}
	}
	if err := w.service.Stop(ctx, "web", nil); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	configured, stored, _ := w.wiring(t, "web")
	if configured != stored {
		t.Errorf("configured %q, stored %q", configured, stored)
	}
	if held := w.networks.held(); len(held) > 0 {
		t.Errorf("held: %v", held)
	}
	if err := w.service.Delete(ctx, "web", false); err != nil {
		t.Error(err)
	}
}
