package hostdns

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/resource"
)

var addresses = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func TestForContainer(t *testing.T) {
	t.Parallel()
	server := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	plain := resource.AllocatedAttachment{}
	for name, tc := range map[string]struct {
		networks []resource.AllocatedAttachment
		files    []string
		want     resource.DNSConfiguration
	}{
		"no network": {
			files: []string{"nameserver 192.0.2.1"},
		},
		"the host's": {
			networks: []resource.AllocatedAttachment{plain},
			files:    []string{"# by hand\nsearch a.example b.example\nnameserver 192.0.2.1\nnameserver 127.0.0.1\nnameserver fe80::1%eth0\nnameserver bad\noptions ndots:2 edns0\n"},
			want:     resource.DNSConfiguration{Servers: server("192.0.2.1"), Search: []string{"a.example", "b.example"}, Options: []string{"ndots:2", "edns0"}},
		},
		"behind the local stub": {
			networks: []resource.AllocatedAttachment{plain},
			files:    []string{"nameserver 127.0.0.53\nsearch stub\n", "nameserver 2001:db8::1\ndomain real.example\n"},
			want:     resource.DNSConfiguration{Servers: server("2001:db8::1"), Search: []string{"real.example"}},
		},
		"only loopback": {
			networks: []resource.AllocatedAttachment{plain},
			files:    []string{"nameserver ::1\n"},
		},
		"the networks'": {
			networks: []resource.AllocatedAttachment{
				{Attachment: resource.Attachment{DNS: resource.DNSConfiguration{Servers: server("10.0.0.1"), Search: []string{"x"}}}},
				{Attachment: resource.Attachment{DNS: resource.DNSConfiguration{Servers: append(server("10.0.0.1"), server("10.0.1.1")...), Search: []string{"y", "x"}}}},
			},
			files: []string{"nameserver 192.0.2.1"},
			want:  resource.DNSConfiguration{Servers: append(server("10.0.0.1"), server("10.0.1.1")...), Search: []string{"x", "y"}},
		},
		"a network's search and the host's servers": {
			networks: []resource.AllocatedAttachment{{Attachment: resource.Attachment{DNS: resource.DNSConfiguration{Search: []string{"x"}}}}},
			files:    []string{"nameserver 192.0.2.1\nsearch y ."},
			want:     resource.DNSConfiguration{Servers: server("192.0.2.1"), Search: []string{"x", "y"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := []string{filepath.Join(t.TempDir(), "missing")}
			for _, text := range tc.files {
				path := filepath.Join(t.TempDir(), "resolv.conf")
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				files = append(files, path)
			}
			if diff := cmp.Diff(tc.want, ForContainer(tc.networks, files), addresses, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("dns (-want +got):\n%s", diff)
			}
		})
	}
}
