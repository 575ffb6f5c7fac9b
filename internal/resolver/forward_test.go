package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/miekg/dns"
)

// fakeServers are name servers by their address and protocol, like
// "udp 192.0.2.1:53"; one that is not there refuses connections.
type fakeServers map[string]func(*dns.Msg) []*dns.Msg

// Dial is a Dial to one of them, over a pipe that frames messages as TCP does.
func (f fakeServers) Dial(_ context.Context, network, address string) (net.Conn, error) {
	answer, ok := f[network+" "+address]
	if !ok {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	go func() {
		c := &dns.Conn{Conn: server}
		query, err := c.ReadMsg()
		if err != nil {
			return
		}
		for _, m := range answer(query) {
			if c.WriteMsg(m) != nil {
				return
			}
		}
	}()
	return client, nil
}

func reply4(q *dns.Msg, address string) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: netip.MustParseAddr(address).AsSlice()}}
	return m
}

func answering(change func(*dns.Msg)) func(*dns.Msg) []*dns.Msg {
	return func(q *dns.Msg) []*dns.Msg {
		m := reply4(q, "203.0.113.1")
		change(m)
		return []*dns.Msg{m}
	}
}

func TestServers(t *testing.T) {
	t.Parallel()
	good := answering(func(*dns.Msg) {})
	fails := answering(func(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeServerFailure, nil })
	silent := func(*dns.Msg) []*dns.Msg { return nil }
	for name, tc := range map[string]struct {
		servers fakeServers
		want    int // code; -1: an error
		records int
		most    time.Duration
	}{
		"the first":           {fakeServers{"udp 192.0.2.1:53": good}, 0, 1, 0},
		"the next":            {fakeServers{"udp 192.0.2.2:53": good}, 0, 1, 0},
		"one that fails":      {fakeServers{"udp 192.0.2.1:53": fails, "udp [2001:db8::3]:53": good}, 0, 1, 0},
		"all fail":            {fakeServers{"udp 192.0.2.1:53": fails}, dns.RcodeServerFailure, 0, 0},
		"none is there":       {fakeServers{}, -1, 0, 0},
		"one that is silent":  {fakeServers{"udp 192.0.2.1:53": silent, "udp 192.0.2.2:53": good}, 0, 1, serverTimeout},
		"the fourth is not":   {fakeServers{"udp 192.0.2.4:53": good}, -1, 0, 0},
		"no such name is one": {fakeServers{"udp 192.0.2.1:53": answering(func(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeNameError, nil }), "udp 192.0.2.2:53": good}, dns.RcodeNameError, 0, 0},
		"too long for udp":    {fakeServers{"udp 192.0.2.1:53": answering(func(m *dns.Msg) { m.Truncated, m.Answer = true, nil }), "tcp 192.0.2.1:53": good}, 0, 1, 0},
		"without tcp":         {fakeServers{"udp 192.0.2.1:53": answering(func(m *dns.Msg) { m.Truncated = true })}, 0, 1, 0},
		"forged ones before": {fakeServers{"udp 192.0.2.1:53": func(q *dns.Msg) []*dns.Msg {
			number, name := reply4(q, "203.0.113.66"), reply4(q, "203.0.113.66")
			number.Id++
			name.Question = []dns.Question{{Name: "other.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}
			return []*dns.Msg{number, name, q, reply4(q, "203.0.113.1")}
		}}, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var addresses []netip.Addr
				for _, a := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::3", "192.0.2.4"} {
					addresses = append(addresses, netip.MustParseAddr(a))
				}
				query := new(dns.Msg).SetQuestion("wWw.example.org.", dns.TypeA).SetEdns0(4096, true)
				begin := time.Now()
				m, err := forward(t.Context(), Servers{List: func() []netip.Addr { return addresses }, Dial: tc.servers.Dial}, query)
				if took := time.Since(begin); took > tc.most {
					t.Errorf("took %v, want at most %v", took, tc.most)
				}
				if tc.want < 0 {
					if err == nil {
						t.Errorf("got %v, want an error", m)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if m.Id != query.Id || m.Question[0] != query.Question[0] || m.IsEdns0() == nil || m.Rcode != tc.want || len(m.Answer) != tc.records {
					t.Errorf("got %v", m)
				}
				if tc.records > 0 && dns.Field(m.Answer[0], 1) != "203.0.113.1" {
					t.Errorf("got %v", m.Answer)
				}
			})
		})
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	_, err := forward(t.Context(), Servers{List: func() []netip.Addr { return nil }}, new(dns.Msg).SetQuestion("a.b.", dns.TypeA))
	if !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// recorder is an Upstream that keeps what it is asked, and does not answer.
type recorder struct{ asked dns.Msg }

func (r *recorder) Exchange(_ context.Context, query []byte) ([]byte, error) {
	return nil, errors.Join(r.asked.Unpack(query), errors.New("no answer"))
}

// A name server sees the question, under a number that the client does not choose.
func TestWhatGoesOut(t *testing.T) {
	t.Parallel()
	query := new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA).SetEdns0(4096, true)
	query.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "24a5ac1223344556"}}
	query.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"luggage"}}}
	numbers := map[uint16]bool{}
	for range 4 {
		r := new(recorder)
		if _, err := forward(t.Context(), r, query); err == nil {
			t.Error("want an error")
		}
		asked := &r.asked
		if asked.Question[0] != query.Question[0] || len(asked.Answer) != 0 || len(asked.IsEdns0().Option) != 0 || !asked.IsEdns0().Do() || asked.IsEdns0().UDPSize() != udpSize {
			t.Errorf("went out: %v", asked)
		}
		numbers[asked.Id] = true
	}
	if len(numbers) == 1 {
		t.Error("the same number each time")
	}
}
