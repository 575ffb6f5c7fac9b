package ipam_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/ipam"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestChooseSubnet4AvoidsAllThatIsUsed(t *testing.T) {
	t.Parallel()
	used := []netip.Prefix{prefix("0.0.0.0/0"), prefix("10.64.0.0/11"), prefix("10.112.0.1/13")}
	for i := range 500 {
		got, err := ipam.ChooseSubnet4(fmt.Sprint(i), used)
		if err != nil {
			t.Fatal(err)
		}
		if err := ipam.CheckSubnet4(got); err != nil || got.Bits() != 24 || !got.Addr().IsPrivate() {
			t.Fatalf("got %v, %v, want a private /24", got, err)
		}
		for _, u := range append(used[1:], prefix("10.88.0.0/16"), prefix("10.96.0.0/12")) {
			if u.Overlaps(got) {
				t.Fatalf("got %v, which overlaps %v", got, u)
			}
		}
		used = append(used, got)
	}
}

func TestChooseSubnet4IsStableAndSpread(t *testing.T) {
	t.Parallel()
	seen := map[netip.Prefix]int{}
	for i := range 100 {
		a, _ := ipam.ChooseSubnet4(fmt.Sprint(i), nil)
		if b, _ := ipam.ChooseSubnet4(fmt.Sprint(i), nil); a != b {
			t.Fatalf("got %v and %v for the same seed", a, b)
		}
		seen[a]++
	}
	if len(seen) < 95 { // 100 of 12,000: half a collision is to be expected
		t.Errorf("got %d different subnets for 100 seeds", len(seen))
	}
}

func TestChooseSubnet4Exhausted(t *testing.T) {
	t.Parallel()
	if got, err := ipam.ChooseSubnet4("a", []netip.Prefix{prefix("10.0.0.0/8")}); !errors.Is(err, errdefs.ErrResourceExhausted) {
		t.Errorf("got %v, %v, want exhausted", got, err)
	}
	// One left of the whole pool is found.
	var used []netip.Prefix
	for second := 64; second < 128; second++ {
		for third := range 256 {
			if p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(second), byte(third), 0}), 24); p != prefix("10.77.3.0/24") {
				used = append(used, p)
			}
		}
	}
	if got, err := ipam.ChooseSubnet4("a", used); got != prefix("10.77.3.0/24") {
		t.Errorf("got %v, %v, want the last one free", got, err)
	}
}

func TestChooseSubnet6(t *testing.T) {
	t.Parallel()
	a, err := ipam.ChooseSubnet6("0123456789abcdef", nil)
	if err != nil || a.Bits() != 64 || !prefix("fd00::/8").Contains(a.Addr()) || ipam.CheckSubnet6(a) != nil {
		t.Fatalf("got %v, %v, want a unique-local /64", a, err)
	}
	if again, _ := ipam.ChooseSubnet6("0123456789abcdef", []netip.Prefix{prefix("::/0"), prefix("fc00::/8")}); again != a {
		t.Errorf("got %v, want %v again", again, a)
	}
	if other, err := ipam.ChooseSubnet6("0123456789abcdef", []netip.Prefix{a}); err != nil || other.Overlaps(a) {
		t.Errorf("got %v, %v, want one beside %v", other, err, a)
	}
}

func TestCheckSubnet(t *testing.T) {
	t.Parallel()
	tests := []struct{ subnet, want string }{ // want: parts of the error, separated by |; empty: accepted
		{"10.0.0.0/24", ""},
		{"10.0.0.0/8", ""},
		{"10.0.0.0/31", ""},
		{"192.168.7.4/30", ""},
		{"10.0.0.0/32", "10.0.0.0/32|too small|/31"},
		{"10.0.0.7/24", "10.0.0.7/24|host bits|want 10.0.0.0/24"},
		{"10.0.0.1/31", "host bits"},
		{"0.0.0.0/0", "too large"},
		{"8.0.0.0/7", "too large"},
		{"127.1.0.0/16", "loopback"},
		{"169.254.3.0/24", "link-local"},
		{"224.1.1.0/24", "multicast"},
		{"240.0.0.0/24", "reserved"},
		{"127.0.0.7/32", "too small|loopback"},
		{"fd00:1::/64", ""},
		{"2001:db8::/48", ""},
		{"fd00::/127", ""},
		{"fd00::/128", "too small|/127"},
		{"fd00::1/64", "host bits|want fd00::/64"},
		{"fd00::/16", "too large"},
		{"fe80::/64", "link-local"},
		{"ff02::/64", "multicast"},
		{"::/96", "loopback"},
		{"::ffff:10.0.0.0/120", "IPv6 prefix"},
	}
	for _, tt := range tests {
		t.Run(tt.subnet, func(t *testing.T) {
			t.Parallel()
			p := prefix2(t, tt.subnet)
			check := ipam.CheckSubnet6
			if p.Addr().Is4() {
				check = ipam.CheckSubnet4
			}
			err := check(p)
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v, want it accepted", err)
				}
				return
			}
			if !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Fatalf("got %v, want an invalid argument", err)
			}
			for part := range strings.SplitSeq(tt.want, "|") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %q, want %q in it", err, part)
				}
			}
		})
	}
	if ipam.CheckSubnet4(prefix("fd00::/64")) == nil || ipam.CheckSubnet6(prefix("10.0.0.0/24")) == nil {
		t.Error("a prefix of the other family was accepted")
	}
}

// prefix2 also accepts IPv4-mapped prefixes, which netip.ParsePrefix does not.
func prefix2(t *testing.T, s string) netip.Prefix {
	t.Helper()
	if p, err := netip.ParsePrefix(s); err == nil {
		return p
	}
	address, _, _ := strings.Cut(s, "/")
	return netip.PrefixFrom(netip.MustParseAddr(address), 120)
}

func TestCheckOverlap(t *testing.T) {
	t.Parallel()
	occupied := []ipam.Occupied{
		{By: "a default route", Prefix: prefix("0.0.0.0/0")},
		{By: "network b", Prefix: prefix("10.0.0.0/24")},
		{By: "network c", Prefix: prefix("10.1.0.0/16")},
	}
	for subnet, want := range map[string]string{
		"10.0.1.0/24": "",
		"10.0.0.0/16": "subnet 10.0.0.0/16: overlaps network b (10.0.0.0/24): already exists",
		"10.1.7.0/24": "subnet 10.1.7.0/24: overlaps network c (10.1.0.0/16): already exists",
	} {
		err := ipam.CheckOverlap(prefix(subnet), occupied)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want || !errors.Is(err, errdefs.ErrAlreadyExists)) {
			t.Errorf("%s: got %v, want %q", subnet, err, want)
		}
	}
}
