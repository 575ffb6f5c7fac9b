//go:build integration

package sandboxtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	gocmp "github.com/google/go-cmp/cmp"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/sandbox/sandboxtest/world"
	"patchbay.dev/patchbay/resource"
)

// interfaces look at the networks from inside, and have each one's neighbour call.
func (a *alive) interfaces(t *testing.T) {
	var names, want []string
	for place := range a.config.Strategies {
		name, own := interfaceAt(place), world.AddressesAt(place, 2)
		names = append(names, name)
		want = append(want, name+" "+own[0], name+" "+strings.ReplaceAll(own[1], "fd00:9:0::", "fd00:9::"), world.MACAt(place), "1400")
	}
	got := a.sh(t, `
		for i in `+strings.Join(names, " ")+`; do
			ip -o addr show $i | awk '{print $2, $4}' | grep -v fe80
			cat /sys/class/net/$i/address /sys/class/net/$i/mtu
		done
		ip -o addr show lo | awk '{print $4}'
		ip route get 203.0.113.1 | grep -o 'via [^ ]* dev [^ ]*'; ip -6 route get 2001:db8::1 | grep -o 'via [^ ]* dev [^ ]*'`)
	want = append(want, "127.0.0.1/8", "::1/128", "via 10.9.1.1 dev lan", "via fd00:9:1::1 dev lan", "")
	if diff := gocmp.Diff(Output{Stdout: strings.Join(want, "\n")}, got); diff != "" {
		t.Errorf("inside (-want +got):\n%s", diff)
	}
	for place := range a.config.Strategies {
		a.world.Networks[place].WantReached(t)
		a.world.Networks[place].WantAnswered(t)
	}
}

func (a *alive) explain(t *testing.T) {
	for place := range a.config.Strategies {
		target := fmt.Sprintf("10.9.%d.77", place)
		answer, err := a.Client.Explain(bounded(t), &sandboxv1.ExplainRequest{Target: target})
		if err != nil || len(answer.GetExplanations()) != 1 || answer.GetExplanations()[0].GetInterface().GetAnswer() != interfaceAt(place) {
			t.Errorf("%s: %v, %v, want %s", target, answer, err, interfaceAt(place))
		}
	}
	_, err := a.Client.Explain(bounded(t), &sandboxv1.ExplainRequest{Target: "nobody"})
	if !errors.Is(err, errdefs.ErrNotFound) || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a name that nobody has: %v", err)
	}
}

func (a *alive) stats(t *testing.T) {
	answer, err := a.Client.Stats(bounded(t), &sandboxv1.StatsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s := answer.GetSample()
	if s.GetMemory().GetUsedBytes() == 0 || s.GetCpu().GetUsedNanoseconds() == 0 || s.GetProcesses().GetCount() < 1 || s.GetProcesses().GetLimit() != maxProcesses {
		t.Errorf("sample %v", s)
	}
	if len(s.GetAttachments()) != len(a.config.Strategies) {
		t.Errorf("traffic %v", s.GetAttachments())
	}
	for place, traffic := range s.GetAttachments() {
		if traffic.GetInterfaceName() != interfaceAt(place) || traffic.GetReceived().GetPackets() < 2 || traffic.GetSent().GetPackets() < 2 {
			t.Errorf("traffic at place %d: %v", place, traffic)
		}
	}
}

// connect adds the world's last network, and removes it again.
func (a *alive) connect(t *testing.T) {
	ctx, place := bounded(t), len(a.config.Strategies)
	more := a.world.Attachment(t, a.ID, a.plugin, place)
	more.Attachment.InterfaceName = "more"
	for range 2 { // a second time as well as the first
		made, err := a.Client.Connect(ctx, &sandboxv1.ConnectRequest{Attachment: more})
		if err != nil || len(made.GetAttachments()) != place+1 {
			t.Fatalf("Connect: %v, %v", made, err)
		}
		a.plugin.WantHeld(t, append(a.keys(), world.Key(a.ID, place))...)
		a.world.Networks[place].WantReached(t)
		if got := len(a.state(t).GetAttachments()); got != place+1 {
			t.Errorf("%d attachments, want %d", got, place+1)
		}
		left, err := a.Client.Disconnect(ctx, &sandboxv1.DisconnectRequest{InterfaceName: "more"})
		if err != nil || len(left.GetAttachments()) != place {
			t.Fatalf("Disconnect: %v, %v", left, err)
		}
		a.plugin.WantHeld(t, a.keys()...)
		a.world.WantPorts(t, world.BridgeOf(place), 0)
	}
	_, err := a.Client.Disconnect(ctx, &sandboxv1.DisconnectRequest{InterfaceName: "more"})
	wantKind(t, "disconnect again", err, errdefs.ErrNotFound, "more")

	// What cannot be connected leaves nothing.
	more.Attachment.InterfaceName = "lan"
	_, err = a.Client.Connect(ctx, &sandboxv1.ConnectRequest{Attachment: more})
	wantKind(t, "a name that is taken", err, errdefs.ErrAlreadyExists, "lan")
	more.Attachment.InterfaceName, more.AdditionalData = "more", []byte(`{"bridge":"nobridge","port":"port9"}`)
	_, err = a.Client.Connect(ctx, &sandboxv1.ConnectRequest{Attachment: more})
	wantKind(t, "no bridge", err, errdefs.ErrNotFound, "nobridge")
	a.plugin.WantHeld(t, a.keys()...)
	if got := a.sh(t, "ls /sys/class/net"); strings.Contains(got.Stdout, "more") {
		t.Errorf("interfaces: %+v", got)
	}
	for place := range a.config.Strategies {
		a.world.Networks[place].WantReached(t)
	}
}

// reconnect takes each network away and gives it back: the default route is always
// by the one of the highest priority, else by the one that is there longest.
func (a *alive) reconnect(t *testing.T) {
	ctx := bounded(t)
	order := a.keys()
	byPriority := func() string {
		if slices.Contains(order, world.Key(a.ID, 1)) {
			return interfaceAt(1)
		}
		return interfaceAt(slices.Index(a.keys(), order[0]))
	}
	for place, s := range a.config.Strategies {
		if s == resource.StrategyHostDevice {
			continue // its network takes the device back, and gives another one
		}
		again := a.request(t).GetAttachments()[place]
		again.Attachment.InterfaceName = interfaceAt(place)
		if _, err := a.Client.Disconnect(ctx, &sandboxv1.DisconnectRequest{InterfaceName: interfaceAt(place)}); err != nil {
			t.Fatalf("Disconnect %s: %v", interfaceAt(place), err)
		}
		own := world.Key(a.ID, place)
		order = slices.DeleteFunc(order, func(k string) bool { return k == own })
		a.plugin.WantHeld(t, order...)
		a.wantDefault(t, byPriority())
		if _, err := a.Client.Connect(ctx, &sandboxv1.ConnectRequest{Attachment: again}); err != nil {
			t.Fatalf("Connect %s: %v", interfaceAt(place), err)
		}
		order = append(order, own)
		a.plugin.WantHeld(t, order...)
		a.wantDefault(t, byPriority())
		a.world.Networks[place].WantReached(t)
		a.world.Networks[place].WantAnswered(t)
	}
}

// wantDefault wants the default routes of both families to be by an interface.
func (a *alive) wantDefault(t *testing.T, name string) {
	t.Helper()
	got := a.sh(t, `for to in 203.0.113.9 2001:db8:77::9; do ip route get $to | grep -o 'dev [^ ]*'; done`)
	if got.Stdout != "dev "+name+"\ndev "+name+"\n" {
		t.Errorf("default routes: %+v, want %s", got, name)
	}
}

// pluginDies: the fault shows, traffic goes on, and the leases are held again when
// the plugin is back.
func (a *alive) pluginDies(t *testing.T) {
	await := func(number int) {
		t.Helper()
		<-a.await(func(s *sandboxv1.StateResponse) bool {
			faults := s.GetFaults()
			return len(faults) == number && (number == 0 || strings.Contains(strings.Join(faults, "\n"), world.Key(a.ID, 0)))
		})
	}
	await(0)
	a.plugin.Die()
	a.plugin.WantHeld(t)
	await(len(a.config.Strategies)) // the helper is told by its stream, not by us
	a.world.Networks[0].WantReached(t)
	a.plugin.Begin(t)
	a.plugin.WantHeld(t, a.keys()...)
	await(0)
	if s := a.state(t); len(s.GetFaults()) > 0 || s.GetState() != sandboxv1.SandboxState_SANDBOX_STATE_RUNNING {
		t.Errorf("state %v, want no fault", s)
	}
}
