package listener

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"patchbay.dev/patchbay/internal/hostnews"
)

// TestRegister: who is found is who a look at all clients finds, whoever has come and gone.
func TestRegister(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	prefix := func() netip.Prefix {
		if random.IntN(2) == 0 {
			return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(random.IntN(4)), byte(random.IntN(4)), byte(random.IntN(4))}), 8+random.IntN(25))
		}
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, byte(random.IntN(4)), 15: byte(random.IntN(4))}), 8+random.IntN(121))
	}
	owner := func() string { return fmt.Sprintf("%0*d", 1+random.IntN(3), random.IntN(10)) }
	r := newRegister()
	wishes := map[*client]hostnews.Interest{}
	var known []*client
	for range 2000 {
		c := &client{pid: 1}
		switch {
		case len(known) > 20 || len(known) > 0 && random.IntN(4) == 0:
			c = known[random.IntN(len(known))]
			if random.IntN(2) == 0 {
				known = slices.DeleteFunc(known, func(is *client) bool { return is == c })
				delete(wishes, c)
				r.remove(c)
				break
			}
			wishes[c] = hostnews.Interest{Prefixes: []netip.Prefix{prefix()}}
			r.put(c, wishes[c])
		case random.IntN(2) == 0:
			known, wishes[c] = append(known, c), hostnews.Interest{Table: "table", Owner: owner()}
			r.put(c, wishes[c])
		default:
			known, wishes[c] = append(known, c), hostnews.Interest{Prefixes: []netip.Prefix{prefix(), prefix()}}
			r.put(c, wishes[c])
		}
		comment, p := owner()+owner(), prefix().Masked()
		for what, find := range map[string]struct {
			is   func(hostnews.Interest) bool
			each func(take func(*client))
		}{
			comment: {
				func(i hostnews.Interest) bool { return i.Table != "" && strings.HasPrefix(comment, i.Owner) },
				func(take func(*client)) { r.ofOwner([]byte(comment), take) },
			},
			p.String(): {
				func(i hostnews.Interest) bool { return slices.ContainsFunc(i.Prefixes, p.Overlaps) },
				func(take func(*client)) { r.overlapping(p, take) },
			},
		} {
			found := map[*client]bool{}
			find.each(func(c *client) { found[c] = true })
			for c, i := range wishes {
				if find.is(i) != found[c] {
					t.Fatalf("%s: %+v is found: %v", what, i, found[c])
				}
				delete(found, c)
			}
			if len(found) > 0 {
				t.Fatalf("%s: %d clients are found that are not there", what, len(found))
			}
		}
	}
	for _, c := range known {
		r.remove(c)
	}
	if len(r.wishes)+len(r.owners.clients)+len(r.owners.lengths)+len(r.prefixes.clients)+len(r.prefixes.lengths) > 0 {
		t.Errorf("something is left: %+v", r)
	}
}
