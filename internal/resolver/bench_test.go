package resolver

import (
	"testing"

	"github.com/miekg/dns"
)

// What the answer to a container's question costs, without its networks' plugins.
func BenchmarkAnswer(b *testing.B) {
	for name, query := range map[string]*dns.Msg{
		"name":         new(dns.Msg).SetQuestion("db.", dns.TypeA),
		"name.network": new(dns.Msg).SetQuestion("db.web.", dns.TypeAAAA),
		"reverse":      new(dns.Msg).SetQuestion("2.0.0.10.in-addr.arpa.", dns.TypePTR),
		"outside":      new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA),
	} {
		b.Run(name, func(b *testing.B) {
			s := newTestServer(twoNetworks)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.answer(query, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
