package resource

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzStoredNetwork checks that a stored network of either schema is refused as
// damaged, or read such that it is stored and read again as the same.
func FuzzStoredNetwork(f *testing.F) {
	f.Add([]byte(`{"id":"0123456789abcdef","name":"web","configuration":{"ipv4Subnet":"10.0.0.0/24"}}`))
	f.Add([]byte(`{"name":"web","configuration":{"plugin":{"plugin":"macvlan","variant":"private"},"options":{"parent":"eth0"},
		"reservedRanges":["10.0.0.0/28"],"routes":[{"destination":"10.9.0.0/16","gateway":"10.0.0.9"}],"dns":{"servers":["192.0.2.53"]}},
		"pinned":{"ipv4":"10.0.0.0/24","ipv6":"fd00::/64"},"builtIn":true,"deleting":true}`))
	f.Add([]byte(`{"configuration":null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		now, err := MigrateNetwork[0](data)
		if err != nil {
			if !errors.Is(err, errdefs.ErrDataLoss) {
				t.Errorf("got %v, want data loss", err)
			}
			return
		}
		var n StoredNetwork
		if json.Unmarshal(now, &n) != nil {
			return // the store says so
		}
		if n.Configuration.Plugin.Plugin == "" {
			t.Errorf("%s: has no plugin after its migration", now)
		}
		first, err := json.Marshal(n)
		if err != nil {
			t.Skip(err) // a year that has no JSON form
		}
		var again StoredNetwork
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		equal := cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmpopts.EquateEmpty()}
		if diff := cmp.Diff(n, again, equal); diff != "" {
			t.Errorf("(-stored +read again):\n%s", diff)
		}
	})
}
