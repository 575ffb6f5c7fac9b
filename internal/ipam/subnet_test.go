package ipam_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/ipam"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

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
