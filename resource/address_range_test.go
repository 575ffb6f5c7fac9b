package resource

import (
	"strings"
	"testing"
)

func TestParseAddressRange(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ in, want, fault string }{
		{"10.0.0.9", "10.0.0.9", ""},
		{"10.0.0.0/28", "10.0.0.0/28", ""},
		{"10.0.0.0-10.0.0.15", "10.0.0.0/28", ""},
		{"10.0.0.9-10.0.0.20", "10.0.0.9-10.0.0.20", ""},
		{"fd00::/120", "fd00::/120", ""},
		{"fd00::1-fd00::ff", "fd00::1-fd00::ff", ""},
		{"10.0.0.1/28", "", "has host bits set, want 10.0.0.0/28"},
		{"10.0.0.9-10.0.0.1", "", "ends before it begins, want 10.0.0.1-10.0.0.9"},
		{"10.0.0.9-fd00::1", "", "two address families"},
		{"::ffff:10.0.0.9", "", "ipv4 ones as such"},
		{"fe80::1%eth0", "", "without a zone"},
		{"", "", "want an address"},
		{"-", "", "want an address"},
		{"a/b", "", "want an address"},
	} {
		got, err := ParseAddressRange(test.in)
		if test.fault != "" {
			if err == nil || !strings.Contains(err.Error(), test.fault) {
				t.Errorf("%q: error %v, want %q", test.in, err, test.fault)
			}
			continue
		}
		if err != nil || got.String() != test.want {
			t.Errorf("%q: got %v, %v, want %s", test.in, got, err, test.want)
		}
	}
}

func FuzzParseAddressRange(f *testing.F) {
	for _, s := range []string{"10.0.0.9", "10.0.0.0/28", "10.0.0.9-10.0.0.20", "fd00::/64", "::-ffff::", "0.0.0.0/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseAddressRange(s)
		if err != nil {
			return
		}
		if again, err := ParseAddressRange(r.String()); err != nil || again != r {
			t.Errorf("%q: is %v, which parses to %v, %v", s, r, again, err)
		}
	})
}
