package resource

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestSubnetPoolValidate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		base string
		size int
		want string // parts of the error, separated by |; empty: accepted
	}{
		{"10.0.0.0/8", 24, ""},
		{"10.0.0.0/24", 24, ""},
		{"100.64.0.0/10", 31, ""},
		{"fd12:3456:789a::/48", 64, ""},
		{"fd00::/8", 127, ""},
		{"2001:db8::/32", 32, ""},
		{"10.0.0.0/24", 16, "size 16, want 24 to 31"},
		{"10.0.0.0/8", 32, "size 32, want 8 to 31"},
		{"fd00::/8", 24, "size 24, want 32 to 127"},
		{"10.0.0.1/8", 24, "has host bits set, want 10.0.0.0/8"},
		{"10.0.0.1/7", 0, "host bits|too large|size 0"},
		{"127.0.0.0/16", 24, "loopback"},
		{"169.0.0.0/8", 24, "link-local"},
		{"240.0.0.0/8", 24, "reserved"},
		{"fe80::/10", 64, "link-local"},
		{"fe00::/8", 64, "link-local"},
		{"ff00::/8", 64, "multicast"},
	} {
		err := SubnetPool{netip.MustParsePrefix(tt.base), tt.size}.Validate()
		if tt.want == "" && err != nil {
			t.Errorf("%s in /%ds: got %v, want it accepted", tt.base, tt.size, err)
		}
		for part := range strings.SplitSeq(tt.want, "|") {
			if tt.want != "" && (!errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), part)) {
				t.Errorf("%s in /%ds: got %v, want %q", tt.base, tt.size, err, part)
			}
		}
	}
	if err := (SubnetPool{}).Validate(); err == nil {
		t.Error("a pool without a base was accepted")
	}
}
