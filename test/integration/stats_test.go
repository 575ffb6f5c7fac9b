//go:build integration

package integration

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// traffic is what a container that is inspected has received and sent, by network.
func (h *host) traffic(container string) map[string]resource.AttachmentTraffic {
	h.t.Helper()
	all := map[string]resource.AttachmentTraffic{}
	for _, a := range h.container(container).Status.Traffic {
		if a.Received == nil || a.Sent == nil {
			h.t.Errorf("container %s: interface %s has no counters", container, a.InterfaceName)
			continue
		}
		all[a.Network] = a
	}
	return all
}

// payload is how many bytes a datagram of sendDatagrams carries.
const payload = 1000

// sendDatagrams sends datagrams from one namespace to an address of another one, in
// which all have to arrive.
func sendDatagrams(t *testing.T, from, to *netns.Namespace, address netip.Addr, count int) {
	t.Helper()
	var receiver *net.UDPConn
	var sender net.Conn
	err := to.Do(func() (err error) {
		receiver, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, 9000)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	if err := from.Do(func() (err error) {
		sender, err = net.Dial("udp", netip.AddrPortFrom(address, 9000).String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	receiver.SetReadDeadline(time.Now().Add(settle))
	for i := range count {
		_, err := sender.Write(make([]byte, payload))
		if err == nil {
			_, err = receiver.Read(make([]byte, payload))
		}
		if err != nil {
			t.Fatalf("datagram %d of %d to %v: %v", i, count, address, err)
		}
	}
}

// grown wants counters to have grown by so many datagrams at least, and not by as
// many again; for none that what the kernels say to one another is less than that.
func grown(t *testing.T, what string, before, after *resource.Traffic, datagrams int) {
	t.Helper()
	packets, bytes := int(after.Packets-before.Packets), int(after.Bytes-before.Bytes)
	least, most := datagrams*payload, 2*datagrams*payload
	if datagrams == 0 {
		most = 10 * payload
	}
	if packets < datagrams || bytes < least || bytes > most || after.Errors != 0 {
		t.Errorf("%s: %d packets with %d bytes more, want %d packets and %d to %d bytes: %+v, then %+v", what, packets, bytes, datagrams, least, most, before, after)
	}
}

// Whatever makes an interface, its attachment counts what the container itself
// receives and sends there, and nothing else; that of a device of the host not
// what went over it before.
func TestTrafficOfEachAttachment(t *testing.T) {
	t.Parallel()
	h := newHost(t).lendable().up()
	sendDatagrams(t, h.ns, h.internet, netip.MustParseAddr("10.78.0.200"), 50)
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "user", "--plugin", "usermode")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24", "--subnet-v6", "fd77::/64")
	h.patchbay("network", "create", "idle")
	h.patchbay("network", "create", "wire", "--plugin", "host-device", "--option", "device=spare", "--subnet", "10.78.0.0/24")
	shared := []string{"--network", "web", "--network", "user,ifname=tap", "--network", "lan", "--network", "idle", "box", "sleep", "1000"}
	h.patchbay(append([]string{"run", "-d", "--name", "app", "--memory", "64m", "--pids-limit", "20", "--network", "wire,ip=10.78.0.7,ifname=wire"}, shared...)...)
	h.patchbay(append([]string{"run", "-d", "--name", "peer"}, shared...)...)
	app, peer := h.namespaceOf("app"), h.namespaceOf("peer")
	sent := map[string]int{"web": 100, "user": 60, "lan": 40, "wire": 20, "idle": 0}

	before, beforePeer := h.traffic("app"), h.traffic("peer")
	grown(t, "wire before it was the container's", &resource.Traffic{}, before["wire"].Sent, 0)
	for network, count := range sent {
		switch {
		case network == "wire":
			sendDatagrams(t, app, h.internet, netip.MustParseAddr("10.78.0.200"), count)
		case count > 0:
			sendDatagrams(t, app, peer, h.attachment("peer", network).IPv4Address.Addr(), count)
		}
	}
	after, afterPeer := h.traffic("app"), h.traffic("peer")
	if len(after) != len(sent) || after["user"].InterfaceName != "tap" || after["wire"].InterfaceName != "wire" {
		t.Errorf("attachments %+v", after)
	}
	for network, count := range sent {
		grown(t, network+", sent", before[network].Sent, after[network].Sent, count)
		grown(t, network+", received", before[network].Received, after[network].Received, 0)
		if network != "wire" {
			grown(t, network+", received by the peer", beforePeer[network].Received, afterPeer[network].Received, count)
		}
	}

	// What is connected counts from then on, and what is stored has no counters.
	h.patchbay("network", "disconnect", "web", "app")
	h.patchbay("network", "connect", "web", "app")
	grown(t, "web, connected again", &resource.Traffic{}, h.traffic("app")["web"].Sent, 0)
	kill(t, h.daemonPID())
	h.patchbay("system", "start")
	if again := h.traffic("app"); again["lan"].Sent.Bytes < after["lan"].Sent.Bytes {
		t.Errorf("after the death of patchbayd: %+v, before it %+v", again["lan"].Sent, after["lan"].Sent)
	}
	h.patchbay("stop", "-t", "0", "app")
	eventually(t, settle, func() error {
		if s := h.container("app").Status; s.Traffic != nil {
			return fmt.Errorf("status after the stop: %+v", s)
		}
		return nil
	})
}
