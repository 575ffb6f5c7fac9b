package ipam_test

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"pgregory.net/rapid"

	"patchbay.dev/patchbay/internal/ipam"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// take allocates until nothing is left.
func take(t *testing.T, a *ipam.Allocator) []string {
	t.Helper()
	var out []string
	for i := range 1000 {
		got, err := a.Allocate(fmt.Sprint("key", i))
		if errors.Is(err, errdefs.ErrResourceExhausted) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got.String())
	}
	return out
}

func TestWhichAddressesThereAre(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		subnet   string
		setAside string
		want     string
	}{
		"/29":                 {"10.0.0.0/29", "10.0.0.1", "10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6"},
		"/30":                 {"10.0.0.8/30", "10.0.0.9", "10.0.0.10"},
		"/31 (RFC 3021)":      {"10.0.0.8/31", "10.0.0.8", "10.0.0.9"},
		"/31 without":         {"10.0.0.8/31", "", "10.0.0.8 10.0.0.9"},
		"/127":                {"fd00::/127", "fd00::", "fd00::1"},
		"/126":                {"fd00::/126", "fd00::1", "fd00::2 fd00::3"},
		"set aside elsewhere": {"10.0.0.0/30", "10.9.9.9", "10.0.0.1 10.0.0.2"},
		"set aside network":   {"10.0.0.0/30", "10.0.0.0", "10.0.0.1 10.0.0.2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var setAside []netip.Addr
			if tt.setAside != "" {
				setAside = append(setAside, addr(tt.setAside))
			}
			a := ipam.NewAllocator(prefix(tt.subnet), setAside...)
			want := strings.Fields(tt.want)
			if a.Total() != uint64(len(want)) {
				t.Errorf("got %d in total, want %d", a.Total(), len(want))
			}
			if got := take(t, a); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if a.InUse() != a.Total() {
				t.Errorf("got %d in use of %d, want all", a.InUse(), a.Total())
			}
		})
	}
}

func TestExhaustedNamesSubnetAndUse(t *testing.T) {
	t.Parallel()
	a := ipam.NewAllocator(prefix("10.0.0.0/29"), addr("10.0.0.1"))
	if err := a.Reserve("stopped", addr("10.0.0.5")); err != nil {
		t.Fatal(err)
	}
	if got := take(t, a); len(got) != 4 {
		t.Errorf("got %v, want all but the reserved one", got)
	}
	_, err := a.Allocate("one more")
	if want := "subnet 10.0.0.0/29: no address left, 4 of 5 in use, 1 given on request only: resource exhausted"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestVastSubnetCostsNothing(t *testing.T) {
	t.Parallel()
	for _, subnet := range []string{"fd00:1:2:3::/64", "fd00::/32", "10.0.0.0/8", "fd00::/65"} {
		a := ipam.NewAllocator(prefix(subnet))
		for i := range 200_000 { // each key comes once, like those of short-lived containers
			key := fmt.Sprint(i)
			got, err := a.Allocate(key)
			if err != nil || !prefix(subnet).Contains(got) {
				t.Fatalf("%s: got %v, %v", subnet, got, err)
			}
			a.Free(key)
			a.Forget(key)
		}
	}
	if total := ipam.NewAllocator(prefix("fd00::/64")).Total(); total != math.MaxUint64 {
		t.Errorf("got %d, want it saturated", total)
	}
}

func TestCheckSaysWhatIsAccepted(t *testing.T) {
	t.Parallel()
	a := ipam.NewAllocator(prefix("10.0.0.0/24"), addr("10.0.0.1"))
	if _, err := a.Allocate("first"); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"10.0.1.7":   "address 10.0.1.7: not in the subnet 10.0.0.0/24: invalid argument",
		"10.0.0.0":   "address 10.0.0.0: is the network or broadcast address of 10.0.0.0/24, want 10.0.0.1 to 10.0.0.254: invalid argument",
		"10.0.0.255": "address 10.0.0.255: is the network or broadcast address of 10.0.0.0/24, want 10.0.0.1 to 10.0.0.254: invalid argument",
		"10.0.0.1":   "address 10.0.0.1: is the gateway or set aside in 10.0.0.0/24, want another of 10.0.0.1 to 10.0.0.254: invalid argument",
		"10.0.0.2":   "address 10.0.0.2: is in use by first: already exists",
		"fd00::1":    "address fd00::1: not in the subnet 10.0.0.0/24: invalid argument",
	} {
		if err := a.Check("second", addr(address)); err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := a.Check("first", addr("10.0.0.2")); err != nil {
		t.Errorf("got %v, want a key's own address to be good", err)
	}
}

// TestAllocatorModel compares an allocator with plain rules: what each key has,
// what is reserved, and in which order addresses were freed.
func TestAllocatorModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		subnet := prefix(rapid.SampledFrom([]string{"10.0.0.0/29", "10.0.0.0/28", "fd00::/125", "10.0.0.0/31"}).Draw(t, "subnet"))
		gateway := subnet.Addr().Next()
		m := &model{
			a: ipam.NewAllocator(subnet, gateway), subnet: subnet, gateway: gateway,
			has: map[string]netip.Addr{}, reserved: map[string]netip.Addr{}, memory: map[string]netip.Addr{},
		}
		for address := subnet.Addr(); subnet.Contains(address); address = address.Next() {
			if m.a.Check("nobody", address) == nil {
				m.unused = append(m.unused, address)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"allocate": m.allocate, "ask": m.ask, "free": m.free, "forget": m.forget,
			"reserve": m.reserve, "unreserve": m.unreserve, "": m.check,
		})
	})
}

type model struct {
	a        *ipam.Allocator
	subnet   netip.Prefix
	gateway  netip.Addr
	has      map[string]netip.Addr
	reserved map[string]netip.Addr
	memory   map[string]netip.Addr
	unused   []netip.Addr // nobody ever had
	freed    []netip.Addr // longest free first
}

var keys = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"})

func (m *model) others(table map[string]netip.Addr, key string, address netip.Addr) bool {
	for k, v := range table {
		if k != key && v == address {
			return true
		}
	}
	return false
}

func (m *model) takable(key string, address netip.Addr) bool {
	return !m.others(m.has, key, address) && !m.others(m.reserved, key, address)
}

func (m *model) given(key string, address netip.Addr) {
	m.has[key] = address
	is := func(a netip.Addr) bool { return a == address }
	m.unused, m.freed = slices.DeleteFunc(m.unused, is), slices.DeleteFunc(m.freed, is)
	delete(m.memory, key)
	for k, v := range m.memory {
		if v == address {
			delete(m.memory, k)
		}
	}
}

func (m *model) allocate(t *rapid.T) {
	key := keys.Draw(t, "key")
	got, err := m.a.Allocate(key)
	if had, ok := m.has[key]; ok {
		if got != had {
			t.Fatalf("%s: got %v, %v, want %v kept", key, got, err, had)
		}
		return
	}
	free := func(addresses []netip.Addr) []netip.Addr {
		return slices.DeleteFunc(slices.Clone(addresses), func(a netip.Addr) bool { return !m.takable(key, a) || m.reserved[key] == a })
	}
	unused, freed := free(m.unused), free(m.freed)
	want, sticky := m.reserved[key]
	if !sticky {
		want, sticky = m.memory[key]
		sticky = sticky && m.takable(key, want)
	}
	switch {
	case sticky && got != want:
		t.Fatalf("%s: got %v, %v, want its own %v", key, got, err, want)
	case sticky:
	case len(unused) > 0 && !slices.Contains(unused, got):
		t.Fatalf("%s: got %v, %v, want one that nobody ever had: %v", key, got, err, unused)
	case len(unused) == 0 && len(freed) > 0 && got != freed[0]:
		t.Fatalf("%s: got %v, %v, want the longest free %v", key, got, err, freed[0])
	case len(unused)+len(freed) == 0:
		if !errors.Is(err, errdefs.ErrResourceExhausted) {
			t.Fatalf("%s: got %v, %v, want exhausted", key, got, err)
		}
		return
	}
	m.given(key, got)
}

func (m *model) draw(t *rapid.T) netip.Addr {
	address := m.subnet.Addr()
	for range rapid.IntRange(0, 9).Draw(t, "place") {
		address = address.Next()
	}
	return address
}

func (m *model) ask(t *rapid.T) {
	key, address := keys.Draw(t, "key"), m.draw(t)
	err := m.a.AllocateAddress(key, address)
	has, leased := m.has[key]
	switch {
	case address == m.gateway || !m.subnet.Contains(address):
		if !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Fatalf("%s: got %v for %v, want it refused", key, err, address)
		}
	case !m.takable(key, address):
		if !errors.Is(err, errdefs.ErrAlreadyExists) {
			t.Fatalf("%s: got %v for %v, want it taken", key, err, address)
		}
	case leased && has != address:
		if err == nil {
			t.Fatalf("%s: got %v beside %v", key, address, has)
		}
	case err == nil:
		m.given(key, address)
	}
}

func (m *model) free(t *rapid.T) {
	key := keys.Draw(t, "key")
	m.a.Free(key)
	if address, ok := m.has[key]; ok {
		delete(m.has, key)
		m.memory[key] = address
		m.freed = append(m.freed, address)
	}
}

func (m *model) forget(t *rapid.T) {
	key := keys.Draw(t, "key")
	m.a.Forget(key)
	delete(m.memory, key)
}

func (m *model) reserve(t *rapid.T) {
	key, address := keys.Draw(t, "key"), m.draw(t)
	if err := m.a.Reserve(key, address); err == nil {
		if !m.takable(key, address) || address == m.gateway {
			t.Fatalf("%s: got %v, which another one has", key, address)
		}
		m.reserved[key] = address
	}
}

func (m *model) unreserve(t *rapid.T) {
	key := keys.Draw(t, "key")
	m.a.Unreserve(key)
	delete(m.reserved, key)
}

func (m *model) check(t *rapid.T) {
	seen := map[netip.Addr]string{}
	for key, address := range m.has {
		if other, ok := seen[address]; ok {
			t.Fatalf("%s and %s both have %v", key, other, address)
		}
		seen[address] = key
		if got, ok := m.a.Get(key); !ok || got != address {
			t.Fatalf("%s: got %v, want %v", key, got, address)
		}
		if owner, _ := m.a.Owner(address); owner != key {
			t.Fatalf("%v: got owner %q, want %q", address, owner, key)
		}
	}
	if m.a.InUse() != uint64(len(m.has)) {
		t.Fatalf("got %d in use, want %d", m.a.InUse(), len(m.has))
	}
}
