package resolver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// fakeNetwork is a Source of names in lower case.
type fakeNetwork map[string][]Match

func (f fakeNetwork) ByName(_ context.Context, name string) ([]Match, error) {
	return f[strings.ToLower(name)], nil
}

func (f fakeNetwork) ByAddress(_ context.Context, address netip.Addr) ([]Match, error) {
	for _, matches := range f {
		for _, m := range matches {
			if slices.Contains(m.Addresses, address) {
				return []Match{m}, nil
			}
		}
	}
	return nil, nil
}

func match(owner string, addresses ...string) Match {
	m := Match{Owner: owner}
	for _, a := range addresses {
		m.Addresses = append(m.Addresses, netip.MustParseAddr(a))
	}
	return m
}

// world is an Upstream that knows one name.
type world struct{}

func (world) Exchange(_ context.Context, query []byte) ([]byte, error) {
	var q dns.Msg
	if err := q.Unpack(query); err != nil {
		return nil, err
	}
	out := new(dns.Msg).SetReply(&q)
	out.RecursionAvailable = true
	if !strings.EqualFold(q.Question[0].Name, "www.example.org.") {
		out.Rcode = dns.RcodeNameError
	} else if q.Question[0].Qtype == dns.TypeA {
		out.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: []byte{203, 0, 113, 1}}}
	}
	return out.Pack()
}

func newTestServer(v View) *Server { return newServer(v, slog.New(slog.DiscardHandler)) }

var twoNetworks = View{
	Networks: []*Network{
		NewNetwork("web", fakeNetwork{
			"db":     {match("db", "10.0.0.2", "fd00::2")},
			"four":   {match("four", "10.0.0.4")},
			"none":   {match("none")},
			"shared": {match("a", "10.0.0.8"), match("b", "10.0.0.9")},
		}),
		NewNetwork("lan", fakeNetwork{
			"cache":    {match("cache", "10.77.0.3")},
			"shared":   {match("c", "10.77.0.8")},
			"a.dotted": {match("", "10.77.0.9")},
			"db":       {match("db", "10.0.0.2")},
		}),
	},
	Upstream: world{},
}

// ask returns the packed and unpacked answer to a query.
func ask(t *testing.T, s *Server, query *dns.Msg, datagram bool) (*dns.Msg, int) {
	t.Helper()
	packed, err := s.answer(query, datagram)
	if err != nil {
		t.Fatal(err)
	}
	var m dns.Msg
	if err := m.Unpack(packed); err != nil {
		t.Fatal(err)
	}
	if m.Id != query.Id || !m.Response {
		t.Fatalf("no answer to the query: %v", &m)
	}
	return &m, len(packed)
}

func texts(m *dns.Msg) []string {
	var out []string
	for _, rr := range m.Answer {
		out = append(out, dns.Field(rr, 1))
	}
	return out
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	alone := View{Networks: twoNetworks.Networks}
	for _, tc := range []struct {
		view View
		name string
		kind uint16
		want []string
		code int
	}{
		{twoNetworks, "db.", dns.TypeA, []string{"10.0.0.2"}, 0},
		{twoNetworks, "dB.", dns.TypeAAAA, []string{"fd00::2"}, 0},
		{twoNetworks, "db.web.", dns.TypeA, []string{"10.0.0.2"}, 0},
		{twoNetworks, "DB.Web.", dns.TypeANY, []string{"10.0.0.2", "fd00::2"}, 0},
		{twoNetworks, "cache.web.", dns.TypeA, nil, dns.RcodeNameError},
		{twoNetworks, "cache.lan.", dns.TypeA, []string{"10.77.0.3"}, 0},
		{twoNetworks, "a.dotted.", dns.TypeA, []string{"10.77.0.9"}, 0},
		{twoNetworks, "a.dotted.lan.", dns.TypeA, []string{"10.77.0.9"}, 0},
		{twoNetworks, "four.", dns.TypeAAAA, nil, 0},
		{twoNetworks, "four.", dns.TypeTXT, nil, 0},
		{twoNetworks, "none.", dns.TypeA, nil, 0}, // on a network without addresses
		{twoNetworks, "nobody.", dns.TypeA, nil, dns.RcodeNameError},
		{twoNetworks, "2.0.0.10.in-addr.arpa.", dns.TypePTR, []string{"db.web.", "db.lan."}, 0},
		{twoNetworks, "2.0.0.10.in-addr.arpa.", dns.TypeA, nil, 0},
		{twoNetworks, "9.0.77.10.in-addr.arpa.", dns.TypePTR, nil, 0}, // its owner is unknown
		{twoNetworks, "7.0.0.10.in-addr.arpa.", dns.TypePTR, nil, dns.RcodeNameError},
		{twoNetworks, "localhost.", dns.TypeA, []string{"127.0.0.1"}, 0},
		{twoNetworks, "a.LOCALHOST.", dns.TypeAAAA, []string{"::1"}, 0},
		{twoNetworks, "www.example.org.", dns.TypeA, []string{"203.0.113.1"}, 0},
		{twoNetworks, "www.example.org.", dns.TypeAAAA, nil, 0},
		{twoNetworks, "ftp.example.org.", dns.TypeA, nil, dns.RcodeNameError},
		{twoNetworks, "org.", dns.TypeNS, nil, dns.RcodeNameError}, // asked outside
		{alone, "www.example.org.", dns.TypeA, nil, dns.RcodeNameError},
		{alone, "db.", dns.TypeA, []string{"10.0.0.2"}, 0},
		{View{}, "db.", dns.TypeA, nil, dns.RcodeNameError},
		{View{}, ".", dns.TypeNS, nil, dns.RcodeNameError},
	} {
		query := new(dns.Msg).SetQuestion(tc.name, tc.kind)
		m, _ := ask(t, newTestServer(tc.view), query, true)
		if diff := cmp.Diff(tc.want, texts(m)); diff != "" || m.Rcode != tc.code {
			t.Errorf("%s %s: code %s, want %s (-want +got):\n%s", tc.name, dns.TypeToString[tc.kind], dns.RcodeToString[m.Rcode], dns.RcodeToString[tc.code], diff)
		}
		if len(m.Question) != 1 || m.Question[0] != query.Question[0] || !m.RecursionAvailable {
			t.Errorf("%s: question %v, want it as it was asked", tc.name, m.Question)
		}
		for _, rr := range m.Answer {
			if rr.Header().Name != tc.name {
				t.Errorf("%s: record of %s", tc.name, rr.Header().Name)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*dns.Msg)
		code   int
	}{
		"two questions":  {func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, dns.RcodeFormatError},
		"no question":    {func(m *dns.Msg) { m.Question = nil }, dns.RcodeFormatError},
		"an update":      {func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented},
		"another class":  {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		"a transfer":     {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }, dns.RcodeRefused},
		"a later edns":   {func(m *dns.Msg) { m.SetEdns0(4096, false); m.IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
		"edns as it was": {func(m *dns.Msg) { m.SetEdns0(4096, true) }, dns.RcodeSuccess},
	} {
		query := new(dns.Msg).SetQuestion("db.", dns.TypeA)
		tc.change(query)
		m, _ := ask(t, newTestServer(twoNetworks), query, true)
		if m.Rcode != tc.code {
			t.Errorf("%s: got %s, want %s", name, dns.RcodeToString[m.Rcode], dns.RcodeToString[tc.code])
		}
		if had, has := query.IsEdns0() != nil, m.IsEdns0() != nil; had != has {
			t.Errorf("%s: edns0 in the query %v, in the answer %v", name, had, has)
		}
	}
}

// The first network's addresses come first; each of them is first in its turn.
func TestRotation(t *testing.T) {
	t.Parallel()
	s := newTestServer(twoNetworks)
	first := map[string]int{}
	for range 4 {
		m, _ := ask(t, s, new(dns.Msg).SetQuestion("shared.", dns.TypeA), true)
		got := texts(m)
		if len(got) != 3 || got[2] != "10.77.0.8" {
			t.Fatalf("got %v, want those of the first network, then the other", got)
		}
		first[got[0]]++
	}
	if first["10.0.0.8"] != 2 || first["10.0.0.9"] != 2 {
		t.Errorf("first ones: %v", first)
	}
}

// An answer is cut to what the client takes, and whole by TCP.
func TestTruncation(t *testing.T) {
	t.Parallel()
	var many []Match
	for i := range 200 {
		many = append(many, match("", fmt.Sprintf("10.1.0.%d", i+1)))
	}
	s := newTestServer(View{Networks: []*Network{NewNetwork("web", fakeNetwork{"many": many})}})
	query := new(dns.Msg).SetQuestion("many.", dns.TypeA)
	if m, size := ask(t, s, query, true); !m.Truncated || size > 512 || len(m.Answer) == 0 {
		t.Errorf("plain: truncated %v, %d bytes, %d records", m.Truncated, size, len(m.Answer))
	}
	if m, size := ask(t, s, query, false); m.Truncated || len(m.Answer) != 200 {
		t.Errorf("tcp: truncated %v, %d bytes, %d records", m.Truncated, size, len(m.Answer))
	}
	query.SetEdns0(1400, false)
	if m, size := ask(t, s, query, true); !m.Truncated || size > 1400 || size < 1300 {
		t.Errorf("edns0: truncated %v, %d bytes, %d records", m.Truncated, size, len(m.Answer))
	}
}

// stuck is a Source that answers nothing in time, and counts.
type stuck struct{ asked *int }

func (s stuck) ByName(ctx context.Context, _ string) ([]Match, error) {
	*s.asked++
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s stuck) ByAddress(ctx context.Context, _ netip.Addr) ([]Match, error) {
	return s.ByName(ctx, "")
}

// A network that hangs costs its own names, and for a bounded time.
func TestStuckNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := newTestServer(View{Networks: []*Network{NewNetwork("bad", stuck{&asked}), twoNetworks.Networks[0]}})
		timed := func(name string) (*dns.Msg, time.Duration) {
			begin := time.Now()
			m, _ := ask(t, s, new(dns.Msg).SetQuestion(name, dns.TypeA), true)
			return m, time.Since(begin)
		}
		if m, took := timed("db."); len(m.Answer) != 1 || took > lookupTimeout {
			t.Errorf("the other's name: %v after %v", texts(m), took)
		}
		if m, took := timed("nobody."); m.Rcode != dns.RcodeServerFailure || took != 0 || asked != 1 {
			t.Errorf("shortly after: %s after %v, asked %d times; want SERVFAIL at once", dns.RcodeToString[m.Rcode], took, asked)
		}
		s.Set(View{Networks: s.view.Load().Networks, Upstream: world{}})
		if m, _ := timed("nobody.example."); m.Rcode != dns.RcodeServerFailure {
			t.Errorf("a name that the world does not know: %s, want SERVFAIL: it may be the stuck network's", dns.RcodeToString[m.Rcode])
		}
		time.Sleep(quietTime)
		if timed("nobody."); asked != 2 {
			t.Errorf("asked %d times in all, want again after a while", asked)
		}
		s.end()
	})
}

// restarting is a Source that is there from the third question on.
type restarting struct {
	fakeNetwork
	asked *int
}

func (r restarting) ByName(ctx context.Context, name string) ([]Match, error) {
	if *r.asked++; *r.asked < 3 {
		return nil, fmt.Errorf("no socket: %w", errdefs.ErrUnavailable)
	}
	return r.fakeNetwork.ByName(ctx, name)
}

// The restart of a plugin is bridged.
func TestRestartingPlugin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := newTestServer(View{Networks: []*Network{NewNetwork("web", restarting{fakeNetwork{"db": {match("db", "10.0.0.2")}}, &asked})}})
		if m, _ := ask(t, s, new(dns.Msg).SetQuestion("db.", dns.TypeA), true); len(m.Answer) != 1 {
			t.Errorf("got %v", m)
		}
		s.end()
	})
}

// Another view counts from the next query on.
func TestSet(t *testing.T) {
	t.Parallel()
	s := newTestServer(View{})
	query := new(dns.Msg).SetQuestion("db.", dns.TypeA)
	if m, _ := ask(t, s, query, true); m.Rcode != dns.RcodeNameError {
		t.Errorf("before: %v", m)
	}
	s.Set(twoNetworks)
	if m, _ := ask(t, s, query, true); len(m.Answer) != 1 {
		t.Errorf("after: %v", m)
	}
}

// What is more than one container may ask at a time fails at once.
func TestTooManyQueries(t *testing.T) {
	t.Parallel()
	s := newTestServer(twoNetworks)
	for range maxQueries {
		s.places <- struct{}{}
	}
	if m, _ := ask(t, s, new(dns.Msg).SetQuestion("db.", dns.TypeA), true); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %s, want SERVFAIL", dns.RcodeToString[m.Rcode])
	}
}

func TestReverseAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"10.0.0.2", "255.255.255.255", "fd00::1:2", "::"} {
		name, err := dns.ReverseAddr(address)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := reverseAddress(strings.TrimSuffix(name, ".")); !ok || got.String() != address {
			t.Errorf("%s: got %v, %v", address, got, ok)
		}
	}
	for _, name := range []string{"", "arpa", "in-addr.arpa", ".in-addr.arpa", "1.0.0.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "256.0.0.10.in-addr.arpa", "01.0.0.10.in-addr.arpa", "ip6.arpa", strings.Repeat("g.", 32) + "ip6.arpa", strings.Repeat("1.", 31) + "ip6.arpa", strings.Repeat("11.", 32) + "ip6.arpa"} {
		if got, ok := reverseAddress(name); ok {
			t.Errorf("%q: got %v", name, got)
		}
	}
}

// Whatever a client or a name server sends, what comes back is an answer to the
// query, of a size that the client takes.
func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"db.", "shared.web.", "2.0.0.10.in-addr.arpa.", "www.example.org."} {
		packed, err := new(dns.Msg).SetQuestion(name, dns.TypeA).SetEdns0(1232, true).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed, packed)
	}
	f.Fuzz(func(t *testing.T, query, outside []byte) {
		var q dns.Msg
		if q.Unpack(query) != nil || q.Response {
			return // the server's library says so
		}
		view := View{Networks: twoNetworks.Networks, Upstream: echo(outside)}
		packed, err := newTestServer(view).answer(&q, true)
		if err != nil {
			t.Fatalf("%v: %v", &q, err)
		}
		var a dns.Msg
		if err := a.Unpack(packed); err != nil {
			t.Fatalf("answer %x: %v", packed, err)
		}
		if a.Id != q.Id || !a.Response {
			t.Errorf("answer %v to %v", &a, &q)
		}
	})
}

// echo is an Upstream that answers always the same, with the query's number.
type echo []byte

func (e echo) Exchange(_ context.Context, query []byte) ([]byte, error) {
	if len(e) < 2 {
		return nil, errors.New("nothing")
	}
	return append(slices.Clone(query[:2]), e[2:]...), nil
}
