package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/miekg/dns"
)

const (
	serverTimeout = 1500 * time.Millisecond // for one name server
	maxServers    = 3                       // as the C library (resolv.conf(5))
	serverPort    = 53
)

// Upstream asks a name server for names of the world.
type Upstream interface {
	// Exchange sends a query and returns the answer, both in the form of RFC 1035
	// section 4, without the length that TCP has.
	Exchange(ctx context.Context, query []byte) ([]byte, error)
}

// forward has a query answered by upstream. The answer has the query's own
// number, question and EDNS0.
func forward(ctx context.Context, upstream Upstream, query *dns.Msg) (*dns.Msg, error) {
	ask := query.Copy()
	ask.Id = dns.Id()
	ask.Answer, ask.Ns, ask.Extra = nil, nil, nil
	opt := query.IsEdns0()
	if opt != nil {
		ask.SetEdns0(udpSize, opt.Do())
	}
	packed, err := ask.Pack()
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	raw, err := upstream.Exchange(ctx, packed)
	if err != nil {
		return nil, err
	}
	answer := new(dns.Msg)
	if err := answer.Unpack(raw); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	if !answers(answer, ask) {
		return nil, errOtherQuestion
	}
	answer.Id = query.Id
	answer.Question = query.Question
	answer.Extra = slices.DeleteFunc(answer.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	if opt != nil {
		answer.SetEdns0(udpSize, opt.Do())
	} else {
		answer.Rcode &= 0xf // the rest is in EDNS0
	}
	return answer, nil
}

// answers tells whether a message is the answer to a query.
func answers(answer, query *dns.Msg) bool {
	if !answer.Response || answer.Id != query.Id || len(answer.Question) > 1 {
		return false
	}
	if len(answer.Question) == 0 { // some servers leave it out when they fail
		return answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError
	}
	a, q := answer.Question[0], query.Question[0]
	return a.Qtype == q.Qtype && a.Qclass == q.Qclass && strings.EqualFold(a.Name, q.Name)
}

// Dial opens a connection as of net.Dialer.DialContext; addresses are literal.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Servers asks name servers in turn, by UDP, and by TCP what does not fit there.
type Servers struct {
	// List returns the servers to ask now.
	List func() []netip.Addr
	Dial Dial
}

// Exchange returns the answer of the first server that has one. One that fails,
// refuses or does not answer in time leaves the query to the next.
func (s Servers) Exchange(ctx context.Context, query []byte) ([]byte, error) {
	servers := s.List()
	if len(servers) == 0 {
		return nil, fmt.Errorf("no name server is named: %w", errdefs.ErrUnavailable)
	}
	ask := new(dns.Msg)
	if err := ask.Unpack(query); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	var faults []error
	var last *dns.Msg
	for _, server := range servers[:min(len(servers), maxServers)] {
		answer, err := s.ask(ctx, netip.AddrPortFrom(server, serverPort).String(), ask)
		if err != nil {
			faults = append(faults, fmt.Errorf("name server %v: %w", server, err))
			continue
		}
		if last = answer; answer.Rcode != dns.RcodeServerFailure && answer.Rcode != dns.RcodeRefused {
			break
		}
	}
	if last == nil {
		return nil, errors.Join(faults...)
	}
	return last.Pack()
}

// ask asks one server.
func (s Servers) ask(ctx context.Context, server string, query *dns.Msg) (*dns.Msg, error) {
	answer, err := s.askBy(ctx, "udp", server, query)
	if err == nil && answer.Truncated {
		if whole, err := s.askBy(ctx, "tcp", server, query); err == nil {
			return whole, nil
		}
	}
	return answer, err
}

func (s Servers) askBy(ctx context.Context, network, server string, query *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	connection, err := s.Dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	deadline, _ := ctx.Deadline()
	if err := connection.SetDeadline(deadline); err != nil {
		return nil, err
	}
	c := &dns.Conn{Conn: connection, UDPSize: dns.DefaultMsgSize}
	if err := c.WriteMsg(query); err != nil {
		return nil, err
	}
	for {
		answer, err := c.ReadMsg()
		var broken *net.OpError
		switch {
		case err == nil && answers(answer, query):
			return answer, nil
		case err == nil && network == "tcp":
			return nil, errOtherQuestion
		case err != nil && (network == "tcp" || errors.As(err, &broken)):
			return nil, err
		}
		// A datagram that is none, or somebody else's: the answer may still come.
	}
}

var errOtherQuestion = errors.New("the answer is to another question")
