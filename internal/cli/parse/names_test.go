package parse

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/resource"
)

func TestExtraHosts(t *testing.T) {
	t.Parallel()
	got, err := ExtraHosts([]string{"db:192.0.2.7", "six:2001:db8::7", "brackets:[2001:db8::7]", "equals=2001:db8::7", "up:host-gateway"})
	six := netip.MustParseAddr("2001:db8::7")
	want := []resource.ExtraHost{{Name: "db", Address: netip.MustParseAddr("192.0.2.7")}, {Name: "six", Address: six}, {Name: "brackets", Address: six}, {Name: "equals", Address: six}, {Name: "up"}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	bad := []string{"", "db", ":192.0.2.7", "db:", "db:x", "db:[2001:db8::7", "db:gateway"}
	if _, err := ExtraHosts(bad); err == nil || strings.Count(err.Error(), "\n") != len(bad)-1 {
		t.Errorf("want one line for each of %q, got %v", bad, err)
	}
	if _, err := NameServers([]string{"192.0.2.1", "a", "b"}); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("name servers: %v", err)
	}
}

// What is accepted reads the same when it is written again.
func FuzzExtraHost(f *testing.F) {
	f.Add("db:192.0.2.7")
	f.Add("db=[2001:db8::7]")
	f.Add("db:host-gateway")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := extraHost(s)
		if err != nil {
			return
		}
		address := resource.HostGateway
		if h.Address.IsValid() {
			address = h.Address.String()
		}
		if again, err := extraHost(h.Name + ":" + address); err != nil || again != h {
			t.Errorf("%q: %v, again %v, %v", s, h, again, err)
		}
	})
}
