package resource_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

func TestContainerTemplateValidate(t *testing.T) {
	t.Parallel()
	negative := -time.Second
	on := func(c resource.AttachmentConfiguration) resource.ContainerTemplate {
		c.Network = "a"
		return resource.ContainerTemplate{Networks: []resource.AttachmentConfiguration{c}}
	}
	mount := func(m ...resource.Mount) resource.ContainerTemplate { return resource.ContainerTemplate{Mounts: m} }
	tmpfs := resource.Mount{Type: resource.MountTmpfs, Target: "/x"}
	for name, tc := range map[string]struct {
		template resource.ContainerTemplate
		fault    string // empty: none
	}{
		"least":                    {},
		"hostname":                 {resource.ContainerTemplate{Hostname: "web-1.example"}, ""},
		"hostname with underscore": {resource.ContainerTemplate{Hostname: "web_1"}, `hostname "web_1": want letters`},
		"hostname with final dash": {resource.ContainerTemplate{Hostname: "web-"}, `hostname "web-"`},
		"hostname too long":        {resource.ContainerTemplate{Hostname: strings.Repeat("a", 65)}, "is 65 bytes long, want at most 64"},
		"env":                      {resource.ContainerTemplate{Env: []string{"A=", "B=c=d"}}, ""},
		"env without value":        {resource.ContainerTemplate{Env: []string{"A"}}, `env "A": want KEY=VALUE`},
		"env without key":          {resource.ContainerTemplate{Env: []string{"=a"}}, `env "=a": want KEY=VALUE`},
		"env with zero":            {resource.ContainerTemplate{Env: []string{"A=\x00"}}, `env "A": has a zero byte`},
		"command with zero":        {resource.ContainerTemplate{Command: []string{"a\x00"}}, `command: has a zero byte`},
		"user":                     {resource.ContainerTemplate{User: "1000:www"}, ""},
		"user with space":          {resource.ContainerTemplate{User: "a b"}, `user "a b": want a name`},
		"user without group":       {resource.ContainerTemplate{User: "a:"}, `user "a:": want a name`},
		"user too high":            {resource.ContainerTemplate{User: "4294967296"}, `want numbers of 0 to 2147483647`},
		"relative directory":       {resource.ContainerTemplate{WorkingDirectory: "srv"}, `working directory "srv": want an absolute path`},
		"memory":                   {resource.ContainerTemplate{Resources: resource.Resources{MemoryBytes: 6 << 20}}, ""},
		"too little memory":        {resource.ContainerTemplate{Resources: resource.Resources{MemoryBytes: 6<<20 - 1}}, "memory 6291455 bytes: want at least 6291456 (6 MiB)"},
		"negative memory":          {resource.ContainerTemplate{Resources: resource.Resources{MemoryBytes: -1}}, "memory -1 bytes"},
		"too little cpu":           {resource.ContainerTemplate{Resources: resource.Resources{NanoCPUs: 1}}, "want at least 0.01"},
		"negative pids":            {resource.ContainerTemplate{Resources: resource.Resources{PIDs: -1}}, "pids limit -1: want at least 1"},
		"stop timeout":             {resource.ContainerTemplate{StopTimeout: &negative}, "stop timeout -1s: want 0 or more"},
		"capabilities":             {resource.ContainerTemplate{CapabilitiesAdd: []string{"net_admin", "CAP_CHOWN", "ALL"}}, ""},
		"capability":               {resource.ContainerTemplate{CapabilitiesDrop: []string{"net-admin"}}, `capability "net-admin": want a name like NET_ADMIN`},

		"dns": {resource.ContainerTemplate{DNS: resource.DNSConfiguration{
			Servers: []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")}, Search: []string{"a.example", "_tcp.B.example."}, Options: []string{"ndots:2", "use-vc"},
		}}, ""},
		"no search":            {resource.ContainerTemplate{DNS: resource.DNSConfiguration{Search: []string{"."}}}, ""},
		"no search and one":    {resource.ContainerTemplate{DNS: resource.DNSConfiguration{Search: []string{".", "a"}}}, `dns search ".": means no domain`},
		"search":               {resource.ContainerTemplate{DNS: resource.DNSConfiguration{Search: []string{"a b"}}}, `dns search "a b": want parts`},
		"long search":          {resource.ContainerTemplate{DNS: resource.DNSConfiguration{Search: []string{strings.Repeat("a.", 130)}}}, "is 259 bytes long, want at most 253"},
		"dns option":           {resource.ContainerTemplate{DNS: resource.DNSConfiguration{Options: []string{"a\nb"}}}, `dns option "a\nb"`},
		"four servers":         {resource.ContainerTemplate{DNS: resource.DNSConfiguration{Servers: slices.Repeat([]netip.Addr{netip.MustParseAddr("192.0.2.1")}, 4)}}, "4 name servers, want at most 3"},
		"no server":            {resource.ContainerTemplate{DNS: resource.DNSConfiguration{Servers: []netip.Addr{netip.IPv4Unspecified()}}}, "dns 0.0.0.0: want the ip address"},
		"own resolver":         {resource.ContainerTemplate{DNS: resource.DNSConfiguration{Servers: []netip.Addr{resource.ResolverAddress}}}, "is the container's own resolver"},
		"server with zone":     {resource.ContainerTemplate{DNS: resource.DNSConfiguration{Servers: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}}}, "without a zone"},
		"extra host":           {resource.ContainerTemplate{ExtraHosts: []resource.ExtraHost{{Name: "db_1.example"}}}, ""},
		"extra host of spaces": {resource.ContainerTemplate{ExtraHosts: []resource.ExtraHost{{Name: "a b"}}}, `extra host "a b": want parts`},
		"extra host by zone":   {resource.ContainerTemplate{ExtraHosts: []resource.ExtraHost{{Name: "a", Address: netip.MustParseAddr("fe80::1%eth0")}}}, `extra host "a": address`},

		"networks and none":    {resource.ContainerTemplate{NoNetwork: true, Networks: []resource.AttachmentConfiguration{{Network: "a"}}}, "want either networks or none"},
		"network without name": {resource.ContainerTemplate{Networks: []resource.AttachmentConfiguration{{}}}, "network 1 of 1: name is empty"},
		"ipv4":                 {on(resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("10.0.0.7"), MTU: 68}), ""},
		"ipv4 for ipv6":        {on(resource.AttachmentConfiguration{IPv6Address: netip.MustParseAddr("10.0.0.7")}), `network "a": ip6 10.0.0.7: want an ipv6 address`},
		"mapped":               {on(resource.AttachmentConfiguration{IPv6Address: netip.MustParseAddr("::ffff:10.0.0.7")}), "want an ipv6 address"},
		"ipv6 for ipv4":        {on(resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("fd00::7")}), "want an ipv4 address"},
		"multicast":            {on(resource.AttachmentConfiguration{IPv4Address: netip.MustParseAddr("224.0.0.1")}), "want a unicast address"},
		"loopback":             {on(resource.AttachmentConfiguration{IPv6Address: netip.MustParseAddr("::1")}), "want a unicast address"},
		"zone":                 {on(resource.AttachmentConfiguration{IPv6Address: netip.MustParseAddr("fd00::7%eth0")}), "without a zone"},
		"mac":                  {on(resource.AttachmentConfiguration{MACAddress: "02:00:00:00:00:01"}), ""},
		"mac multicast":        {on(resource.AttachmentConfiguration{MACAddress: "01:00:00:00:00:01"}), "is a multicast address"},
		"mtu too small":        {on(resource.AttachmentConfiguration{MTU: 67}), "mtu 67: want 68 to 65535"},
		"mtu too large":        {on(resource.AttachmentConfiguration{MTU: 65536}), "mtu 65536"},
		"mtu for ipv6":         {on(resource.AttachmentConfiguration{MTU: 1279, IPv6Address: netip.MustParseAddr("fd00::7")}), "want at least 1280 for ipv6"},
		"interface name":       {on(resource.AttachmentConfiguration{InterfaceName: "lan.10"}), ""},
		"interface name long":  {on(resource.AttachmentConfiguration{InterfaceName: "abcdefghijklmnop"}), "is 16 bytes long, want at most 15"},
		"interface name slash": {on(resource.AttachmentConfiguration{InterfaceName: "a/b"}), `interface name "a/b": want letters`},
		"interface name lo":    {on(resource.AttachmentConfiguration{InterfaceName: "lo"}), "is the system's"},
		"interface twice":      {resource.ContainerTemplate{Networks: []resource.AttachmentConfiguration{{Network: "a", InterfaceName: "eth1"}, {Network: "b"}}}, `network "b": interface name "eth1" is used twice`},
		"sysctls":              {on(resource.AttachmentConfiguration{Sysctls: map[string]string{"net.ipv4.conf.IFNAME.rp_filter": "2", "net.mpls.conf.IFNAME.input": "1"}}), ""},
		"sysctl of all":        {on(resource.AttachmentConfiguration{Sysctls: map[string]string{"net.ipv4.conf.all.rp_filter": "2"}}), `sysctl "net.ipv4.conf.all.rp_filter": want one of the interface`},
		"sysctl of no device":  {on(resource.AttachmentConfiguration{Sysctls: map[string]string{"net.core.conf.IFNAME.x": "2"}}), `want one of the interface`},
		"sysctl with a path":   {on(resource.AttachmentConfiguration{Sysctls: map[string]string{"net.ipv4.conf.IFNAME.../x": "2"}}), `want one of the interface`},
		"sysctl without value": {on(resource.AttachmentConfiguration{Sysctls: map[string]string{"net.ipv4.conf.IFNAME.rp_filter": ""}}), `value "": want printable text`},
		"no ipv6 by sysctl":    {on(resource.AttachmentConfiguration{Sysctls: map[string]string{"net.ipv6.conf.IFNAME.disable_ipv6": "1"}}), `want a network without ipv6`},
		"alias":                {on(resource.AttachmentConfiguration{Aliases: []string{"a_b"}}), `alias "a_b"`},
		"empty alias":          {on(resource.AttachmentConfiguration{Aliases: []string{""}}), "alias: is empty"},

		"mounts": {mount(
			resource.Mount{Type: resource.MountBind, Source: "/a", Target: "/a", Options: []string{"rshared", "ro"}},
			resource.Mount{Type: resource.MountTmpfs, Target: "/b", Options: []string{"size=64m", "mode=1777"}},
			resource.Mount{Type: resource.MountVolume, Target: "/c", Options: []string{"nocopy"}},
		), ""},
		"mount twice":             {mount(tmpfs, resource.Mount{Type: resource.MountTmpfs, Target: "/x/"}), `mount "/x": is the target of two mounts`},
		"mount target relative":   {mount(resource.Mount{Type: resource.MountTmpfs, Target: "x"}), `mount "x": want an absolute path`},
		"mount target root":       {mount(resource.Mount{Type: resource.MountTmpfs, Target: "//"}), "want a target below the root"},
		"mount source relative":   {mount(resource.Mount{Type: resource.MountBind, Source: "a", Target: "/x"}), `source "a": want an absolute path`},
		"mount source of a tmpfs": {mount(resource.Mount{Type: resource.MountTmpfs, Source: "/a", Target: "/x"}), "a tmpfs mount has none"},
		"mount type":              {mount(resource.Mount{Type: "nfs", Target: "/x"}), `type "nfs": want bind, tmpfs or volume`},
		"mount option":            {mount(resource.Mount{Type: resource.MountTmpfs, Target: "/x", Options: []string{"rshared"}}), `option "rshared": a tmpfs mount takes ro, rw,`},
		"mount options in one":    {mount(resource.Mount{Type: resource.MountTmpfs, Target: "/x", Options: []string{"size=1,exec"}}), `option "size=1,exec"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.template.Image = "box"
			err := tc.template.Validate()
			switch {
			case tc.fault == "" && err != nil:
				t.Errorf("error %v", err)
			case tc.fault != "" && (!errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), tc.fault) || strings.Contains(err.Error(), "\n")):
				t.Errorf("error %v, want %q alone", err, tc.fault)
			}
		})
	}
}

func TestContainerTemplateTellsAllFaults(t *testing.T) {
	t.Parallel()
	err := resource.ContainerTemplate{Hostname: "_", User: ":", Env: []string{"A"}}.Validate()
	if err == nil || len(strings.Split(err.Error(), "\n")) != 4 { // the image too
		t.Errorf("error:\n%v\nwant 4 lines", err)
	}
}

func TestExecValidate(t *testing.T) {
	t.Parallel()
	if err := (resource.Exec{Process: resource.Process{Args: []string{"ls"}}}).Validate(); err != nil {
		t.Error(err)
	}
	err := resource.Exec{Process: resource.Process{WorkingDirectory: "x", Env: []string{"A"}, User: "a b"}}.Validate()
	if !errors.Is(err, errdefs.ErrInvalidArgument) || len(strings.Split(err.Error(), "\n")) != 4 {
		t.Errorf("error:\n%v\nwant 4 lines", err)
	}
}

func TestMakeUpName(t *testing.T) {
	t.Parallel()
	taken := map[string]bool{}
	for range 6000 { // more than there are pairs
		name := resource.MakeUpName(func(n string) bool { return taken[n] })
		if taken[name] {
			t.Fatalf("name %q again", name)
		}
		if err := resource.ValidateName("container", name); err != nil {
			t.Fatal(err)
		}
		taken[name] = true
	}
}
