package spec_test

import (
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/runtime-spec/specs-go"

	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/names"
	"patchbay.dev/patchbay/resource"
)

var update = flag.Bool("update", false, "write the golden files")

// all stands for the capabilities of a kernel, whatever this one has.
var all = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_NET_ADMIN",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_ADMIN", "CAP_SYS_CHROOT",
}

func base() spec.Config {
	return spec.Config{
		Sandbox: sandbox.Configuration{
			ID: "0123456789abcdef", Name: "box", Hostname: "box",
			Process: resource.Process{Args: []string{"true"}},
		},
		RootDirectory:    "/run/s/rootfs",
		NetworkNamespace: "/proc/1/fd/9",
		CgroupPath:       "/patchbay-0123456789abcdef",
		AllCapabilities:  all,
		OpenFiles:        1 << 20,
		Files:            map[string]string{"/etc/hosts": "/run/s/hosts", "/etc/hostname": "/run/s/hostname", "/etc/resolv.conf": "/run/s/resolv.conf"},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*spec.Config){
		"default": func(*spec.Config) {},
		"full": func(c *spec.Config) {
			c.CgroupV2 = true
			c.InitBinary = "/usr/lib/patchbay/oci"
			c.User = spec.User{UID: 1000, GID: 1000, Additional: []uint32{2000}, Home: "/srv/user"}
			c.OpenFiles = 4096
			c.Sandbox.Init = true
			c.Sandbox.Process = resource.Process{
				Args: []string{"sh", "-c", "echo"}, Env: []string{"A=1", "PATH=/opt", "EMPTY="}, WorkingDirectory: "/srv", Terminal: true, Stdin: true,
			}
			c.Sandbox.RootFilesystem.ReadOnly = true
			c.Sandbox.Resources = resource.Resources{MemoryBytes: 64 << 20, NanoCPUs: 15e8, PIDs: 100}
			c.Sandbox.CapabilitiesAdd = []string{"net_admin"}
			c.Sandbox.CapabilitiesDrop = []string{"CAP_MKNOD"}
			c.Sandbox.Mounts = []resource.Mount{
				{Type: resource.MountBind, Source: "/host/deep", Target: "/srv/a/b/"},
				{Type: resource.MountBind, Source: "/host", Target: "/srv", ReadOnly: true, Options: []string{"rslave"}},
				{Type: resource.MountVolume, Source: "/volumes/v", Target: "/data"},
				{Type: resource.MountTmpfs, Target: "/scratch", Options: []string{"size=1m"}},
				{Type: resource.MountTmpfs, Target: "/dev/shm", Options: []string{"size=1g", "mode=1777"}},
				{Type: resource.MountBind, Source: "/host/hosts", Target: "/etc/hosts"},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := base()
			change(&c)
			s, err := spec.New(c)
			if err != nil {
				t.Fatal(err)
			}
			if s.Linux.Seccomp == nil || len(s.Linux.Seccomp.Syscalls) == 0 || s.Linux.Seccomp.DefaultAction != specs.ActErrno {
				t.Errorf("seccomp = %v, want a filter that refuses by default", s.Linux.Seccomp)
			}
			s.Annotations = map[string]string{"run.oci.keep_original_groups": "1"}
			wantSame(t, s)
			s.Annotations = nil
			s.Linux.Seccomp = nil // of a library, and long
			got, err := json.MarshalIndent(s, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
				t.Errorf("config.json (-want +got):\n%s", diff)
			}
		})
	}
}

// wantSame wants the document to have all that the specification does.
func wantSame(t *testing.T, s *specs.Spec) {
	t.Helper()
	document, err := spec.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var got specs.Spec
	if err := json.Unmarshal(document, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, &got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("config.json, read again (-want +got):\n%s", diff)
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	all := []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"}
	for name, tc := range map[string]struct {
		add, drop, want []string
		fails           bool
	}{
		"default":             {want: []string{"CAP_CHOWN", "CAP_KILL"}},
		"add":                 {add: []string{"net_admin"}, want: []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN"}},
		"drop":                {drop: []string{"kill"}, want: []string{"CAP_CHOWN"}},
		"all":                 {add: []string{"all"}, want: all},
		"all but one":         {add: []string{"ALL"}, drop: []string{"CAP_SYS_ADMIN"}, want: all[:3]},
		"none":                {drop: []string{"ALL"}, want: nil},
		"one only":            {drop: []string{"ALL"}, add: []string{"CAP_KILL"}, want: []string{"CAP_KILL"}},
		"unknown":             {add: []string{"CAP_FLY"}, fails: true},
		"dropped is unknown":  {drop: []string{"CAP_FLY"}, want: []string{"CAP_CHOWN", "CAP_KILL"}},
		"added twice":         {add: []string{"KILL", "CAP_KILL"}, want: []string{"CAP_CHOWN", "CAP_KILL"}},
		"all and one by name": {add: []string{"ALL", "KILL"}, want: all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := spec.Capabilities(all, tc.add, tc.drop)
			if tc.fails != errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Fatalf("error = %v, want one: %v", err, tc.fails)
			}
			if diff := cmp.Diff(strings.Join(tc.want, " "), strings.Join(got, " ")); diff != "" {
				t.Errorf("capabilities (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	c := base()
	c.Sandbox.Process.Env = []string{"A=1", "B=1"}
	c.Sandbox.Process.WorkingDirectory = "/srv"
	s, err := spec.New(c)
	if err != nil {
		t.Fatal(err)
	}
	p := spec.Exec(s.Process, resource.Process{Args: []string{"id"}, Env: []string{"B=2"}}, spec.User{UID: 7, Home: "/seven"}, false, all)
	if p.Cwd != "/srv" || p.User.UID != 7 || p.Terminal {
		t.Errorf("exec = %+v, want the container's directory and user 7", p)
	}
	want := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=box", "A=1", "B=2", "HOME=/seven"}
	if diff := cmp.Diff(want, p.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if len(p.Capabilities.Bounding) != 14 || len(p.Capabilities.Effective) != 0 {
		t.Errorf("capabilities = %+v, want the container's as a bound only", p.Capabilities)
	}
	p = spec.Exec(s.Process, resource.Process{Args: []string{"id"}, Terminal: true}, spec.User{}, true, all)
	if diff := cmp.Diff(all, p.Capabilities.Effective); diff != "" {
		t.Errorf("privileged capabilities (-want +got):\n%s", diff)
	}
	if p.Env[0] != "TERM=xterm" {
		t.Errorf("environment = %v, want TERM", p.Env)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	const head = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n" +
		"ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
	for name, tc := range map[string]struct {
		c    sandbox.Configuration
		want string
	}{
		"no network": {sandbox.Configuration{Hostname: "h", Name: "n"}, "127.0.1.1\th n\n"},
		"layer 2":    {sandbox.Configuration{Hostname: "h", Attachments: []resource.Attachment{{}}}, "127.0.1.1\th\n"},
		"two networks": {sandbox.Configuration{Hostname: "h.example.org", Name: "H", Attachments: []resource.Attachment{
			{IPv4Address: netip.MustParsePrefix("10.0.0.2/24"), IPv6Address: netip.MustParsePrefix("fd00::2/64")},
			{IPv4Address: netip.MustParsePrefix("10.0.1.2/24"), Hostname: "other"},
		}}, "10.0.0.2\th.example.org h\nfd00::2\th.example.org h\n10.0.1.2\th.example.org h other\n"},
		"extra": {sandbox.Configuration{Hostname: "h", ExtraHosts: []names.HostEntry{{Address: netip.MustParseAddr("192.0.2.1"), Names: []string{"a", "b"}}}}, "127.0.1.1\th\n192.0.2.1\ta b\n"},
	} {
		if diff := cmp.Diff(head+tc.want, string(spec.Hosts(tc.c))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestResolvConf(t *testing.T) {
	t.Parallel()
	full := resource.DNSConfiguration{
		Servers: []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")},
		Search:  []string{"example.org", "example.net"}, Options: []string{"ndots:2"},
	}
	want := "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch example.org example.net\noptions ndots:2\n"
	if diff := cmp.Diff(want, string(spec.ResolvConf(full))); diff != "" {
		t.Errorf("full (-want +got):\n%s", diff)
	}
	if got := string(spec.ResolvConf(resource.DNSConfiguration{})); !strings.HasPrefix(got, "#") || strings.Count(got, "\n") != 1 {
		t.Errorf("empty = %q, want one comment", got)
	}
}
