//go:build integration

package integration

import (
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/test/probe/form"
)

// many is how many addresses many.example.org has: too many for a datagram.
const many = 100

// nameServer serves www.example.org, with one address, and many.example.org, in a
// namespace.
func nameServer(t *testing.T, ns *netns.Namespace, at, answer string) {
	t.Helper()
	var packet net.PacketConn
	var stream net.Listener
	if err := ns.Do(func() (err error) {
		if packet, err = net.ListenPacket("udp", at); err != nil {
			return err
		}
		stream, err = net.Listen("tcp", at)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		out := new(dns.Msg)
		out.SetReply(q)
		count := map[string]int{"www.example.org.": 1, "many.example.org.": many}[q.Question[0].Name]
		if count == 0 {
			out.Rcode = dns.RcodeNameError
		} else if q.Question[0].Qtype == dns.TypeA {
			for i := range count {
				address := net.ParseIP(answer).To4()
				address[2] += byte(i)
				out.Answer = append(out.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: address})
			}
		}
		if w.LocalAddr().Network() == "udp" {
			out.Truncate(dns.MinMsgSize)
		}
		w.WriteMsg(out)
	})
	for _, server := range []*dns.Server{{PacketConn: packet, Handler: handler}, {Listener: stream, Handler: handler}} {
		started, done := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(done); server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { server.Shutdown(); <-done })
	}
}

// byTCP asks by TCP, beside somebody who listens on all addresses and shares.
func (p *probe) byTCP(name, want string) {
	p.t.Helper()
	p.must(form.Request{Do: form.Listen, Network: "tcp4", Address: "0.0.0.0:53", Shared: true, Data: []byte("?")})
	answer, err := p.tryQuery("tcp", name, dns.TypeA)
	if err != nil || !slices.Equal(resolved(answer), []string{want}) {
		p.t.Errorf("%s by tcp: got %v, %v, want %s", name, answer, err, want)
	}
}

// resolved are the addresses or names of an answer, sorted.
func resolved(m *dns.Msg) []string {
	var out []string
	for _, rr := range m.Answer {
		out = append(out, dns.Field(rr, 1))
	}
	slices.Sort(out)
	return out
}

// upWith starts the daemon with a file in place of the host's resolv.conf. Its
// content is written in place, since it is mounted as a file.
func (h *host) upWith(resolvConf string) *host {
	h.t.Helper()
	h.must(h.command(h.ns, "unshare", "--mount", "--propagation", "slave", "sh", "-c",
		"mount --bind "+resolvConf+" /etc/resolv.conf && exec "+binary("patchbay")+" system start"))
	return h.ready()
}

// Names of two networks of two plugins, in the container's own view, without
// patchbayd; other names from the host's name servers as they are now.
func TestNames(t *testing.T) {
	onEachRuntime(t, testNames)
}

func testNames(t *testing.T, h *host) {
	nameServer(t, h.internet, "198.51.100.1:53", "203.0.113.1")
	nameServer(t, h.ns, "127.0.0.53:53", "203.0.113.2")
	file := h.write("resolv.conf", []byte("nameserver 198.51.100.1\nsearch corp.example\n"), 0o644)
	h.upWith(file)
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--subnet", "10.77.0.0/24", "--subnet-v6", "fd77::/64", "--option", "parent="+uplink)
	h.patchbay("network", "create", "apart", "--internal")
	run := func(args ...string) { h.patchbay(slices.Concat([]string{"run", "-d"}, args, sleeps)...) }
	h.runAsleep("--name", "asker", "--network", "web", "--network", "lan", "--add-host", "far:192.0.2.7", "--add-host", "host:host-gateway")
	run("--name", "db", "--network", "web,alias=store,alias=shared", "--hostname", "first")
	run("--name", "cache", "--network", "lan,alias=shared")
	run("--name", "secret", "--network", "apart")

	asker := h.probe(t, "asker")
	db, cache := h.attachment("db", "web"), h.attachment("cache", "lan")
	db4, db6, cache4 := db.IPv4Address.Addr().String(), db.IPv6Address.Addr().String(), cache.IPv4Address.Addr().String()
	reverse := func(address string) string {
		name, err := dns.ReverseAddr(address)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	check := func() {
		t.Helper()
		for _, q := range []struct {
			name string
			kind uint16
			want []string
			code int
		}{
			{"db", dns.TypeA, []string{db4}, 0},
			{"DB", dns.TypeAAAA, []string{db6}, 0},
			{"db.web", dns.TypeA, []string{db4}, 0},
			{"store", dns.TypeA, []string{db4}, 0},
			{"first", dns.TypeA, []string{db4}, 0},
			{h.container("db").Metadata.ID[:12], dns.TypeA, []string{db4}, 0},
			{"cache", dns.TypeA, []string{cache4}, 0},
			{"db", dns.TypeMX, nil, 0},
			{"shared.lan", dns.TypeA, []string{cache4}, 0},
			{"db.lan", dns.TypeA, nil, dns.RcodeNameError},
			{"secret", dns.TypeA, nil, dns.RcodeNameError},
			{"nobody", dns.TypeA, nil, dns.RcodeNameError},
			{reverse(db4), dns.TypePTR, []string{"db.web."}, 0},
			{reverse(db6), dns.TypePTR, []string{"db.web."}, 0},
			{reverse(cache4), dns.TypePTR, []string{"cache.lan."}, 0},
		} {
			m := asker.query(q.name, q.kind)
			if got := resolved(m); !slices.Equal(got, q.want) || m.Rcode != q.code {
				t.Errorf("%s %s: got %v %s, want %v %s", q.name, dns.TypeToString[q.kind], got, dns.RcodeToString[m.Rcode], q.want, dns.RcodeToString[q.code])
			}
		}
		both := asker.query("shared", dns.TypeA)
		if len(both.Answer) != 2 || dns.Field(both.Answer[0], 1) != db4 {
			t.Errorf("shared: got %v, want the one on the first network first, then the other", both.Answer)
		}
	}
	check()
	if got := h.patchbay("exec", "asker", "cat", "/etc/resolv.conf"); got != "nameserver 127.0.0.11\nsearch corp.example\noptions ndots:0" {
		t.Errorf("resolv.conf:\n%s", got)
	}
	hosts := h.patchbay("exec", "asker", "cat", "/etc/hosts")
	for _, line := range []string{"192.0.2.7\tfar", h.attachment("asker", "web").IPv4Gateway.String() + "\thost"} {
		if !strings.Contains(hosts, line+"\n") {
			t.Errorf("hosts: want a line %q:\n%s", line, hosts)
		}
	}
	asker.byTCP("db", db4)
	if m := asker.query("many.example.org", dns.TypeA); !m.Truncated || len(m.Answer) == 0 || len(m.Answer) >= many {
		t.Errorf("many.example.org by udp: %d addresses, truncated %v, want some and the rest by tcp", len(m.Answer), m.Truncated)
	}
	if m, err := asker.tryQuery("tcp", "many.example.org", dns.TypeA); err != nil || len(m.Answer) != many {
		t.Errorf("many.example.org by tcp: %v, %v, want %d addresses", m, err, many)
	}
	// As programs ask, by the C library or what stands for it.
	h.patchbay("exec", "asker", "ping", "-c", "1", "-W", "60", "db")
	// An internal network is no way to ask the world.
	if m := h.probe(t, "secret").query("www.example.org", dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("on an internal network: got %v", m)
	}

	outside := func(want string) {
		t.Helper()
		if got := resolved(asker.query("www.example.org", dns.TypeA)); !slices.Equal(got, []string{want}) {
			t.Errorf("www.example.org: got %v, want %s", got, want)
		}
	}
	outside("203.0.113.1")
	if err := os.WriteFile(file, []byte("nameserver 127.0.0.53\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	outside("203.0.113.2")

	kill(t, h.daemonPID())
	for _, name := range []string{"db", "store"} {
		if got := resolved(asker.query(name, dns.TypeA)); !slices.Equal(got, []string{db4}) {
			t.Errorf("%s without patchbayd: got %v, want %s", name, got, db4)
		}
	}
	h.patchbay("system", "start")
	h.patchbay("delete", "--force", "db")
	if m := asker.query("db", dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("db was deleted: got %v", m)
	}
}

// What the user says about names comes first; what makes no sense is refused
// with every fault, and without networks there is nothing to ask.
func TestNamesByUser(t *testing.T) {
	onEachRuntime(t, testNamesByUser)
}

func testNamesByUser(t *testing.T, h *host) {
	h.up()
	nameServer(t, h.internet, "198.51.100.1:53", "203.0.113.1")
	h.runAsleep("--name", "own", "--dns", farIPv4, "--dns-search", "a.example", "--dns-option", "ndots:3", "--dns-option", "use-vc")
	own := h.probe(t, "own")
	if got, want := h.patchbay("exec", "own", "cat", "/etc/resolv.conf"), "nameserver 127.0.0.11\nsearch a.example\noptions ndots:3 use-vc"; !strings.HasPrefix(got, want) {
		t.Errorf("resolv.conf: got\n%s\nwant\n%s", got, want)
	}
	if got := resolved(own.query("www.example.org", dns.TypeA)); !slices.Equal(got, []string{"203.0.113.1"}) {
		t.Errorf("www.example.org: got %v", got)
	}
	// Without networks nobody answers.
	h.patchbay("network", "disconnect", "default", "own")
	if _, err := own.tryQuery("udp", "www.example.org", dns.TypeA); err == nil {
		t.Error("a resolver answers in a container without networks")
	}
	r := h.try("run", "--dns", "nowhere", "--dns-search", "a..b", "--dns-option", "two words", "--add-host", "x", "box", "true")
	for _, want := range []string{`dns "nowhere"`, `dns search "a..b"`, `dns option "two words"`, `add-host "x"`} {
		if r.code == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("want %s: %s", want, r)
		}
	}
	r = h.try("run", "--network", "none", "--add-host", "up:host-gateway", "box", "true")
	if r.code == 0 || !strings.Contains(r.stderr, "extra host up: the host is the gateway of none") {
		t.Errorf("host-gateway without a network: %s", r)
	}
}

// A plugin that does not answer costs its own names, and for a short time.
func TestNamesBesideHangingPlugin(t *testing.T) {
	onEachRuntimeAtLength(t, testNamesBesideHangingPlugin)
}

func testNamesBesideHangingPlugin(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "good")
	h.patchbay("network", "create", "bad")
	h.runAsleep("--name", "asker", "--network", "bad", "--network", "good")
	h.patchbay("run", "-d", "--name", "db", "--network", "good", "box", "sleep", "1000")
	asker := h.probe(t, "asker")
	want := h.attachment("db", "good").IPv4Address.Addr()
	pid := h.network("bad").Status.PluginPID
	stopProcess(t, pid)
	defer syscall.Kill(pid, syscall.SIGCONT)
	if got := resolved(asker.query("db", dns.TypeA)); !slices.Equal(got, []string{want.String()}) {
		t.Errorf("db: got %v, want %v", got, want)
	}
	if m := asker.query("nobody", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("a name that the other network may know: got %s, want SERVFAIL", dns.RcodeToString[m.Rcode])
	}
}
