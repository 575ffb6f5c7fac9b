//go:build integration

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/test/probe/form"
)

// probeProgram is the program that tests have run in containers, built once.
var probeProgram = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "pbp")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, "probe"), "patchbay.dev/patchbay/test/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "probe"))
})

// arm gives a container the probe, which is there until the container ends.
func (h *host) arm(container string) {
	h.t.Helper()
	program, err := probeProgram()
	if err != nil {
		h.t.Fatal(err)
	}
	h.must(h.tryInput(string(program), "exec", "-i", "--user", "root", container, "sh", "-c", "cat >/tmp/probe && chmod 755 /tmp/probe"))
}

// probe runs in a container, whatever that is made of, and does there what a test
// wants done.
type probe struct {
	h         *host
	t         *testing.T
	container string
	requests  io.WriteCloser
	ended     chan struct{}

	mu      sync.Mutex
	last    int                      // guarded by mu; id of the last request
	waiting map[int]chan form.Answer // guarded by mu; by id
}

// probe starts one in a container, armed or not. It ends with the test, or with its
// container.
func (h *host) probe(t *testing.T, container string) *probe {
	t.Helper()
	h.arm(container)
	return h.armed(t, container)
}

// armed starts one in a container that was armed.
func (h *host) armed(t *testing.T, container string) *probe {
	t.Helper()
	in, requests := io.Pipe()
	answers, out := io.Pipe()
	command := h.prepare(in, binary("patchbay"), "exec", "-i", "--user", "root", container, "/tmp/probe")
	command.Stdout = out
	if err := h.ns.Do(command.Start); err != nil {
		t.Fatal(err)
	}
	p := &probe{h: h, t: t, container: container, requests: requests, ended: make(chan struct{}), waiting: map[int]chan form.Answer{}}
	go func() {
		_ = command.Wait() // how it ends is no matter of the test
		out.Close()
		in.Close()
	}()
	go p.hear(answers)
	t.Cleanup(func() {
		requests.Close()
		<-p.ended
		if t.Failed() {
			t.Logf("the probe in %s: %s", container, command.err.String())
		}
	})
	return p
}

// hear hands answers to who waits for them.
func (p *probe) hear(answers io.Reader) {
	defer close(p.ended)
	for lines := json.NewDecoder(answers); ; {
		var a form.Answer
		if lines.Decode(&a) != nil {
			return
		}
		p.mu.Lock()
		waiting := p.waiting[a.ID]
		p.mu.Unlock()
		waiting <- a
	}
}

// ask sends a request, and returns where its answers come.
func (p *probe) ask(r form.Request) (<-chan form.Answer, error) {
	p.mu.Lock()
	p.last++
	r.ID = p.last
	answers := make(chan form.Answer, 256)
	p.waiting[r.ID] = answers
	p.mu.Unlock()
	return answers, json.NewEncoder(p.requests).Encode(r)
}

// next waits for an answer.
func (p *probe) next(answers <-chan form.Answer) (form.Answer, error) {
	select {
	case a := <-answers:
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-p.ended:
		return form.Answer{}, errors.New("the probe has ended")
	case <-time.After(settle):
		return form.Answer{}, fmt.Errorf("no answer within %v", settle)
	}
}

// try does one thing and returns the answer.
func (p *probe) try(r form.Request) (form.Answer, error) {
	answers, err := p.ask(r)
	if err != nil {
		return form.Answer{}, err
	}
	return p.next(answers)
}

// must does one thing that has to succeed, and returns where further answers come.
func (p *probe) must(r form.Request) <-chan form.Answer {
	p.t.Helper()
	answers, err := p.ask(r)
	if err == nil {
		_, err = p.next(answers)
	}
	if err != nil {
		p.t.Fatalf("container %s: %s %s: %v", p.container, r.Do, r.Address, err)
	}
	return answers
}

// resolver is where containers ask for names.
const resolver = "127.0.0.11:53"

// query asks the container's resolver.
func (p *probe) query(name string, kind uint16) *dns.Msg {
	p.t.Helper()
	answer, err := p.tryQuery("udp", name, kind)
	if err != nil {
		p.t.Fatalf("query for %s: %v", name, err)
	}
	return answer
}

func (p *probe) tryQuery(network, name string, kind uint16) (*dns.Msg, error) {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	data, err := question.Pack()
	if err != nil {
		return nil, err
	}
	if network == "tcp" { // RFC 1035, 4.2.2
		data = append([]byte{byte(len(data) >> 8), byte(len(data))}, data...)
	}
	a, err := p.try(form.Request{Do: form.Exchange, Network: network, Address: resolver, Data: data})
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		if len(a.Data) < 2 {
			return nil, fmt.Errorf("an answer of %d bytes", len(a.Data))
		}
		a.Data = a.Data[2:]
	}
	var answer dns.Msg
	if err := answer.Unpack(a.Data); err != nil {
		return nil, err
	}
	if answer.Id != question.Id {
		return nil, fmt.Errorf("the answer is for another question")
	}
	return &answer, nil
}

// dial calls an address from the container, and returns what is said there.
func (p *probe) dial(to string) (string, error) {
	a, err := p.try(form.Request{Do: form.Exchange, Network: "tcp", Address: to})
	return string(a.Data), err
}

// cannotDial wants nobody to answer at any of some addresses.
func (p *probe) cannotDial(all ...string) {
	p.t.Helper()
	waiting := map[string]<-chan form.Answer{}
	for _, to := range all {
		answers, err := p.ask(form.Request{Do: form.Exchange, Network: "tcp", Address: to, Within: time.Second})
		if err != nil {
			p.t.Fatal(err)
		}
		waiting[to] = answers
	}
	for to, answers := range waiting {
		if a, err := p.next(answers); err == nil {
			p.t.Errorf("container %s: at %s is somebody who says %q, want nobody", p.container, to, a.Data)
		}
	}
}

// callers listens at an address and tells who calls.
func (p *probe) callers(address string) *visitors {
	p.t.Helper()
	return newVisitors(p.t, p.must(form.Request{Do: form.Listen, Network: "tcp", Address: address, Data: []byte(welcome)}))
}

// datagrams answers datagrams at an address with a text, and tells who sends them.
func (p *probe) datagrams(address, text string) <-chan form.Answer {
	p.t.Helper()
	return p.must(form.Request{Do: form.Listen, Network: "udp", Address: address, Data: []byte(text)})
}

// sentPacket is a packet that left a container.
type sentPacket struct {
	from netip.Addr
	by   string // interface
}

// capture begins to copy what leaves the container.
func (p *probe) capture() {
	p.t.Helper()
	p.must(form.Request{Do: form.Capture})
}

// echoReplies returns the answers to pings that have left since capture and were not
// returned before.
func (p *probe) echoReplies() []sentPacket {
	p.t.Helper()
	answers, err := p.ask(form.Request{Do: form.Captured})
	if err != nil {
		p.t.Fatal(err)
	}
	var out []sentPacket
	for {
		a, err := p.next(answers)
		if err != nil {
			p.t.Fatalf("capture in %s: %v", p.container, err)
		}
		if a.Interface == "" {
			return out
		}
		if source, ok := echoReply(a.Data); ok {
			out = append(out, sentPacket{source, a.Interface})
		}
	}
}

// echoReply returns the sender of an ICMP or ICMPv6 echo reply.
func echoReply(packet []byte) (netip.Addr, bool) {
	switch {
	case len(packet) > 20 && packet[0] == 0x45 && packet[9] == unix.IPPROTO_ICMP && packet[20] == 0:
		return netip.AddrFromSlice(packet[12:16])
	case len(packet) > 40 && packet[0]>>4 == 6 && packet[6] == unix.IPPROTO_ICMPV6 && packet[40] == 129:
		return netip.AddrFromSlice(packet[8:24])
	}
	return netip.Addr{}, false
}
