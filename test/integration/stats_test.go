//go:build integration

package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// traffic is what a container that is inspected has received and sent, by network.
func (h *host) traffic(container string) map[string]resource.AttachmentTraffic {
	h.t.Helper()
	all := map[string]resource.AttachmentTraffic{}
	var status resource.ContainerStatus
	eventually(h.t, settle, func() error {
		if status = h.container(container).Status; status.Message == silent {
			return errors.New(silent)
		}
		return nil
	})
	for _, a := range status.Traffic {
		if a.Received == nil || a.Sent == nil {
			h.t.Errorf("container %s: interface %s has no counters", container, a.InterfaceName)
			continue
		}
		all[a.Network] = a
	}
	return all
}

// silent is what is said of a helper that stands still, and of one that a busy machine lets
// answer late.
const silent = "its runtime helper does not answer"

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

	h.checkSamples(after)

	// What is connected counts from then on, and what has ended has no counters.
	h.patchbay("network", "disconnect", "web", "app")
	h.patchbay("network", "connect", "web", "app")
	grown(t, "web, connected again", &resource.Traffic{}, h.traffic("app")["web"].Sent, 0)
	kill(t, h.daemonPID())
	h.patchbay("system", "start")
	if again := h.traffic("app"); again["lan"].Sent.Bytes < after["lan"].Sent.Bytes {
		t.Errorf("after the death of patchbayd: %+v, before it %+v", again["lan"].Sent, after["lan"].Sent)
	}
	h.checkHangingHelper()
	h.checkRowsEnd(h.samples("app", "peer"))
	if s := h.container("app").Status; s.Traffic != nil {
		t.Errorf("status after the end: %+v", s)
	}
}

// statsRow is what "stats" says of a container.
type statsRow struct {
	resource.ContainerStats
	CPUPercent *float64 `json:"cpuPercent"`
}

// samples takes a sample of containers.
// samples are those of a look at which all helpers have answered.
func (h *host) samples(names ...string) (all []statsRow) {
	h.t.Helper()
	eventually(h.t, settle, func() error {
		all = h.look(names...)
		for _, s := range all {
			if s.Fault != "" {
				return fmt.Errorf("container %s: %s", s.Name, s.Fault)
			}
		}
		return nil
	})
	return all
}

// look is one look at containers.
func (h *host) look(names ...string) []statsRow {
	h.t.Helper()
	var all []statsRow
	for line := range strings.Lines(h.patchbay(append([]string{"stats", "--no-stream", "--interval", "100ms", "--format", "json"}, names...)...)) {
		var s statsRow
		lines := json.NewDecoder(strings.NewReader(line))
		lines.DisallowUnknownFields()
		if err := lines.Decode(&s); err != nil {
			h.t.Fatalf("%v: %s", err, line)
		}
		all = append(all, s)
	}
	return all
}

// checkSamples wants samples of "app" to tell its limits and its use, and not less
// traffic than there was before.
func (h *host) checkSamples(before map[string]resource.AttachmentTraffic) {
	h.t.Helper()
	all := h.samples("app", "peer")
	if len(all) != 2 || all[0].Name != "app" || all[1].Name != "peer" {
		h.t.Fatalf("samples %+v", all)
	}
	app, peer := all[0], all[1]
	if app.Memory == nil || app.CPU == nil || app.Processes == nil || app.CPUPercent == nil || app.Fault != "" {
		h.t.Fatalf("sample %+v", app)
	}
	if app.Memory.LimitBytes != 64<<20 || app.Memory.UsedBytes == 0 || app.Memory.UsedBytes > 64<<20 || app.Processes.Limit != 20 || app.Processes.Count != 1 || app.CPU.UsedNanoseconds == 0 {
		h.t.Errorf("app: memory %+v, processes %+v, cpu %+v", app.Memory, app.Processes, app.CPU)
	}
	if peer.Memory.LimitBytes != 0 || peer.Processes.Limit != 0 {
		h.t.Errorf("peer, which has no limits: memory %+v, processes %+v", peer.Memory, peer.Processes)
	}
	var order []string
	for _, a := range app.Attachments {
		order = append(order, a.Network+"="+a.InterfaceName)
		if a.Sent == nil || a.Sent.Bytes < before[a.Network].Sent.Bytes {
			h.t.Errorf("network %s: sent %+v, before %+v", a.Network, a.Sent, before[a.Network].Sent)
		}
	}
	if got := strings.Join(order, " "); got != "wire=wire web=eth1 user=tap lan=eth3 idle=eth4" {
		h.t.Errorf("attachments %s", got)
	}
	h.patchbay("exec", "app", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
	if now := h.samples("app")[0]; now.CPU.UsedNanoseconds < app.CPU.UsedNanoseconds+uint64(time.Millisecond) {
		h.t.Errorf("cpu after some work %+v, before it %+v", now.CPU, app.CPU)
	}
	if r := h.try("stats", "nobody", "app", "box"); r.code != 1 || strings.Count(r.stderr, "not found") != 2 || r.stdout != "" {
		h.t.Errorf("stats of nobody: %s", r)
	}
}

// checkHangingHelper wants a helper that stands still to cost what is told of its own
// container alone, "peer".
func (h *host) checkHangingHelper() {
	h.t.Helper()
	helper := h.container("peer").Status.HelperPID
	stopProcess(h.t, helper)
	var all []statsRow
	eventually(h.t, settle, func() error {
		all = h.look()
		for _, s := range all {
			if told := s.CPU != nil && len(s.Attachments) == 5; told != (s.Name == "app") || (s.Fault == silent) != (s.Name == "peer") {
				return fmt.Errorf("with a helper that stands still: %+v", s)
			}
		}
		return nil
	})
	hanging := h.container("peer").Status
	if err := syscall.Kill(helper, syscall.SIGCONT); err != nil {
		h.t.Fatal(err)
	}
	if len(all) != 2 || hanging.Message != silent || hanging.Traffic != nil || hanging.State != resource.ContainerRunning {
		h.t.Errorf("%d samples, status %+v", len(all), hanging)
	}
	h.samples("peer") // it goes on
}

// checkRowsEnd kills "app" while it is looked at with "peer", which alone is then
// shown until an interrupt.
func (h *host) checkRowsEnd(before []statsRow) {
	h.t.Helper()
	out, theirs, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	p := h.prepare(nil, binary("patchbay"), "stats", "--interval", "100ms", "--format", "json", "app", "peer")
	p.Stdout = theirs
	err = h.ns.Do(p.Start)
	theirs.Close()
	if err != nil {
		h.t.Fatal(err)
	}
	out.SetReadDeadline(time.Now().Add(settle))
	lines := bufio.NewScanner(out)
	var names []string // of the last samples
	for killed := false; !killed || !slices.Equal(names, []string{"peer", "peer", "peer"}); {
		if !lines.Scan() {
			h.t.Fatalf("the samples end: %v, after those of %v", lines.Err(), names)
		}
		var s statsRow
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil || s.Fault != "" {
			h.t.Fatalf("%v: %s", err, lines.Text())
		}
		names = append(names[max(0, len(names)-2):], s.Name)
		if s.Name == "app" && !killed {
			killed = true
			if s.ID != before[0].ID || s.CPU.UsedNanoseconds < before[0].CPU.UsedNanoseconds {
				h.t.Errorf("sample %+v, before it %+v", s, before[0])
			}
			kill(h.t, h.container("app").Status.PID)
		}
	}
	p.Process.Signal(os.Interrupt)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if r := h.wait(p); r.code != 0 || r.stderr != "" {
		h.t.Errorf("after an interrupt: %s", r)
	}
	if r := h.try("stats", "--no-stream", "app", "peer"); r.code != 1 || !strings.Contains(r.stderr, "container app: is not running: it is stopped") {
		h.t.Errorf("stats of one that has ended: %s", r)
	}
}
