package resolver

import (
	"context"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

const (
	// ttl is for how many seconds an answer about the networks may be kept:
	// short, since containers come and go.
	ttl = 5
	// udpSize is the largest message that the resolver takes and asks for by UDP
	// with EDNS0, the one of the DNS flag day of 2020.
	udpSize = 1232
)

// respond returns the answer to a query, with the question as it was asked:
// who mixes its letters against forgery (0x20) finds them again.
func (s *Server) respond(ctx context.Context, query *dns.Msg) *dns.Msg {
	if code := refusal(query); code != dns.RcodeSuccess {
		return failure(query, code)
	}
	view := s.view.Load()
	question := query.Question[0]
	name := strings.ToLower(strings.TrimSuffix(question.Name, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return addresses(query, []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}) // RFC 6761 section 6.3
	}
	var f found
	if address, ok := reverseAddress(name); ok {
		f = each(view.Networks, func(n *Network) ([]Match, error) { return n.byAddress(ctx, address) })
		if f.any() {
			return pointers(query, f.owners)
		}
	} else if name != "" {
		f = each(view.Networks, func(n *Network) ([]Match, error) { return n.byName(ctx, name) })
		if f.any() {
			return addresses(query, s.rotated(f.groups))
		}
	}
	return s.outside(ctx, view, query, f.failed)
}

// refusal returns the code for a query that is none that is answered here.
func refusal(query *dns.Msg) int {
	opt := query.IsEdns0()
	switch {
	case query.Response || len(query.Question) != 1:
		return dns.RcodeFormatError
	case query.Opcode != dns.OpcodeQuery:
		return dns.RcodeNotImplemented
	case opt != nil && opt.Version() != 0:
		return dns.RcodeBadVers
	case query.Question[0].Qclass != dns.ClassINET,
		query.Question[0].Qtype == dns.TypeAXFR, query.Question[0].Qtype == dns.TypeIXFR:
		return dns.RcodeRefused
	}
	return dns.RcodeSuccess
}

// outside answers what no network knows. A name without a dot is never one of
// the world, and goes to no name server. When a network could not be asked, "no
// such name" would be a guess.
func (s *Server) outside(ctx context.Context, view *View, query *dns.Msg, failed bool) *dns.Msg {
	unknown := dns.RcodeNameError
	if failed {
		unknown = dns.RcodeServerFailure
	}
	name := strings.TrimSuffix(query.Question[0].Name, ".")
	if view.Upstream == nil || name != "" && !strings.Contains(name, ".") && isAddressType(query.Question[0].Qtype) {
		return failure(query, unknown)
	}
	answer, err := forward(ctx, view.Upstream, query)
	if err != nil {
		s.log.Debug("no name server answers", "error", err)
		return failure(query, dns.RcodeServerFailure)
	}
	if answer.Rcode == dns.RcodeNameError {
		answer.Rcode = unknown
	}
	return answer
}

func isAddressType(t uint16) bool { return t == dns.TypeA || t == dns.TypeAAAA }

// rotated returns all addresses: those of the first network first, and among
// those of one network each in turn, so that clients spread over them.
func (s *Server) rotated(groups [][]Match) []netip.Addr {
	turn := int(s.turn.Add(1) % 720720) // divided by all numbers to 16
	var out []netip.Addr
	for _, matches := range groups {
		for i := range matches {
			out = append(out, matches[(i+turn)%len(matches)].Addresses...)
		}
	}
	return out
}

// addresses answers a query for a name that there is. Another type than that of
// the addresses leaves the answer empty, without an error: NODATA (RFC 2308
// section 2.2).
func addresses(query *dns.Msg, all []netip.Addr) *dns.Msg {
	out := reply(query)
	question := query.Question[0]
	header := dns.RR_Header{Name: question.Name, Class: dns.ClassINET, Ttl: ttl}
	seen := map[netip.Addr]bool{}
	for _, a := range all {
		if a = a.Unmap(); seen[a] {
			continue
		}
		seen[a] = true
		if header.Rrtype = dns.TypeAAAA; a.Is4() {
			header.Rrtype = dns.TypeA
		}
		switch {
		case question.Qtype != header.Rrtype && question.Qtype != dns.TypeANY:
		case a.Is4():
			out.Answer = append(out.Answer, &dns.A{Hdr: header, A: a.AsSlice()})
		default:
			out.Answer = append(out.Answer, &dns.AAAA{Hdr: header, AAAA: a.AsSlice()})
		}
	}
	return out
}

// pointers answers a query for the name of an address.
func pointers(query *dns.Msg, owners []string) *dns.Msg {
	out := reply(query)
	question := query.Question[0]
	if question.Qtype != dns.TypePTR && question.Qtype != dns.TypeANY {
		return out
	}
	header := dns.RR_Header{Name: question.Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: ttl}
	for _, owner := range owners {
		out.Answer = append(out.Answer, &dns.PTR{Hdr: header, Ptr: dns.Fqdn(owner)})
	}
	return out
}

// reply returns an empty answer, with EDNS0 when the query has it (RFC 6891
// section 6.1.1).
func reply(query *dns.Msg) *dns.Msg {
	out := new(dns.Msg)
	out.SetReply(query)
	out.RecursionAvailable = true
	if opt := query.IsEdns0(); opt != nil {
		out.SetEdns0(udpSize, opt.Do())
	}
	return out
}

func failure(query *dns.Msg, code int) *dns.Msg {
	out := reply(query)
	out.Rcode = code
	return out
}
