package plugintest

import (
	"fmt"
	"reflect"
	"testing"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
)

// testMakesInterfaces has a network make interfaces in namespaces, and looks whether they
// are there when they are to be and at no other time.
func testMakesInterfaces(t *testing.T, c Config) {
	if c.Interface == nil {
		return
	}
	p := started(t, c)
	before := p.residue(t)
	wish := &typesv1.AttachmentConfiguration{Mtu: 1300}
	if p.status(t).GetMtu() == 0 {
		wish.Mtu = 0
	}
	a := p.mustAllocate(t, "a/0", wish).GetAttachment()
	hold := p.mustHold(t, "a/0")
	namespace := c.NetworkNamespace(t)
	const name = "lan7"
	attach := func() {
		t.Helper()
		made, err := p.client.Attach(bounded(t), &pluginv1.AttachRequest{Key: "a/0", NetworkNamespace: namespace, InterfaceName: name})
		if err != nil {
			t.Fatalf("attach: %v", err)
		}
		if !reflect.DeepEqual(made.GetAttachment(), a) {
			t.Errorf("got %v, want it as allocated, %v", made.GetAttachment(), a)
		}
		got := c.Interface(t, namespace, name)
		if got == nil || a.GetMacAddress() != "" && got.HardwareAddr.String() != a.GetMacAddress() || a.GetMtu() != 0 && got.MTU != int(a.GetMtu()) {
			t.Errorf("got the interface %+v, want MAC address %s and MTU %d", got, a.GetMacAddress(), a.GetMtu())
		}
	}
	wantNone := func(when string) {
		t.Helper()
		if got := c.Interface(t, namespace, name); got != nil {
			t.Errorf("%s: the interface is there: %+v", when, got)
		}
		if after := p.residue(t); after != before {
			t.Errorf("%s: the host has %s, had %s", when, after, before)
		}
	}
	detach := func() {
		t.Helper()
		if _, err := p.client.Detach(bounded(t), &pluginv1.DetachRequest{Key: "a/0", NetworkNamespace: namespace, InterfaceName: name}); err != nil {
			t.Errorf("detach: %v", err)
		}
	}
	attach()
	attach() // in place of what is there
	detach()
	detach() // what is not there any more
	wantNone("after detach")

	// A later process knows what an earlier one has made, and leaves it alone.
	attach()
	p.Kill(t)
	<-hold.closed
	p.Restart(t)
	hold = p.mustHold(t, "a/0")
	if p.mustBegin(t, nil); c.Interface(t, namespace, name) == nil {
		t.Error("the interface has gone with the process")
	}
	hold.end()
	p.freed(t, "a/0")
	wantNone("after the end of the lease")
}

// residue is what the network has on the host.
func (p *Process) residue(t *testing.T) string {
	t.Helper()
	if p.config.Residue == nil {
		return ""
	}
	return fmt.Sprint(p.config.Residue(t, p.NetworkID))
}
