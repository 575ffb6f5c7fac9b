package resolver

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/resource"
)

var values = cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()}

func servers(all ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestParseResolvConf(t *testing.T) {
	t.Parallel()
	got := parseResolvConf("# by hand\n;too\nsearch old\ndomain older\nsearch a.example . b.example\nnameserver 192.0.2.1 # it\n" +
		"nameserver 192.0.2.1\nnameserver bad\nnameserver\nnameserver fe80::1%eth0\noptions ndots:2 edns0\noptions edns0 rotate\nsortlist 1\n")
	want := resource.DNSConfiguration{
		Servers: servers("192.0.2.1", "fe80::1%eth0"), Search: []string{"a.example", "b.example"}, Options: []string{"ndots:2", "edns0", "rotate"},
	}
	if diff := cmp.Diff(want, got, values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nsearch a b\noptions ndots:1\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, a := range parseResolvConf(text).Servers {
			if !a.IsValid() {
				t.Errorf("server %v", a)
			}
		}
	})
}

// The host's servers are those of now, however the file changes: written, put in
// its place, linked elsewhere, removed.
func TestHostServersOfNow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, other := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "other")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	upstream := Configuration{Attachments: []resource.Attachment{{}}, HostFile: path}.Upstream(nil, nil).(Servers)
	expect := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(servers(want...), upstream.List(), values); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	expect()
	must(os.WriteFile(path, []byte("nameserver 192.0.2.1\n"), 0o600))
	expect("192.0.2.1")
	must(os.WriteFile(other, []byte("nameserver 192.0.2.2\nnameserver 127.0.0.1\n"), 0o600))
	must(os.Rename(other, path))
	expect("192.0.2.2", "127.0.0.1")
	must(os.WriteFile(other, []byte("nameserver 192.0.2.3\n"), 0o600))
	must(os.Remove(path))
	must(os.Symlink("other", path))
	expect("192.0.2.3")
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	host := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(host, []byte("nameserver 192.0.2.1\nnameserver 127.0.0.1\nsearch corp.example\noptions ndots:5 edns0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := resource.Attachment{IPv4Address: netip.MustParsePrefix("10.0.0.2/24"), IPv4Gateway: netip.MustParseAddr("10.0.0.1")}
	internal := resource.Attachment{IPv4Address: netip.MustParsePrefix("10.0.1.2/24")}
	telling := out
	telling.DNS = resource.DNSConfiguration{Servers: servers("10.0.0.53"), Search: []string{"net.example"}, Options: []string{"timeout:2"}}
	own := "127.0.0.11"
	type dns = resource.DNSConfiguration
	for name, tc := range map[string]struct {
		user           dns
		attachments    []resource.Attachment
		client, direct dns
		outside        bool
	}{
		"no network": {},
		"the host's": {
			attachments: []resource.Attachment{internal, out}, outside: true,
			client: dns{Servers: servers(own), Search: []string{"corp.example"}, Options: []string{"edns0", "ndots:0"}},
			direct: dns{Servers: servers("192.0.2.1"), Search: []string{"corp.example"}, Options: []string{"edns0"}},
		},
		"layer 2": {
			attachments: []resource.Attachment{{}}, outside: true,
			client: dns{Servers: servers(own), Search: []string{"corp.example"}, Options: []string{"edns0", "ndots:0"}},
			direct: dns{Servers: servers("192.0.2.1"), Search: []string{"corp.example"}, Options: []string{"edns0"}},
		},
		"internal alone": {
			attachments: []resource.Attachment{internal},
			client:      dns{Servers: servers(own)},
		},
		"internal with a server of its own": {
			user: dns{Servers: servers("10.0.1.53")}, attachments: []resource.Attachment{internal}, outside: true,
			client: dns{Servers: servers(own)},
			direct: dns{Servers: servers("10.0.1.53")},
		},
		"the networks'": {
			attachments: []resource.Attachment{telling}, outside: true,
			client: dns{Servers: servers(own), Search: []string{"net.example", "corp.example"}, Options: []string{"timeout:2", "edns0", "ndots:0"}},
			direct: dns{Servers: servers("10.0.0.53"), Search: []string{"net.example", "corp.example"}, Options: []string{"timeout:2", "edns0"}},
		},
		"the user's": {
			user:        dns{Servers: servers("192.0.2.9"), Search: []string{"own.example"}, Options: []string{"timeout:1", "ndots:3"}},
			attachments: []resource.Attachment{telling}, outside: true,
			client: dns{Servers: servers(own), Search: []string{"own.example"}, Options: []string{"timeout:1", "ndots:3", "edns0"}},
			direct: dns{Servers: servers("192.0.2.9"), Search: []string{"own.example"}, Options: []string{"timeout:1", "ndots:3", "edns0"}},
		},
		"no search": {
			user: dns{Search: []string{"."}}, attachments: []resource.Attachment{out}, outside: true,
			client: dns{Servers: servers(own), Options: []string{"edns0"}},
			direct: dns{Servers: servers("192.0.2.1"), Options: []string{"edns0"}},
		},
	} {
		c := Configuration{User: tc.user, Attachments: tc.attachments, HostFile: host}
		if len(tc.attachments) > 0 {
			if diff := cmp.Diff(tc.client, c.Client(), values); diff != "" {
				t.Errorf("%s: client (-want +got):\n%s", name, diff)
			}
		}
		if diff := cmp.Diff(tc.direct, c.Direct(), values); diff != "" {
			t.Errorf("%s: direct (-want +got):\n%s", name, diff)
		}
		if got := c.Upstream(nil, nil) != nil; got != tc.outside {
			t.Errorf("%s: asks outside %v, want %v", name, got, tc.outside)
		}
	}
}
