package parse

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/resource"
)

func TestPort(t *testing.T) {
	t.Parallel()
	type ports = []resource.PublishedPort
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	for in, want := range map[string]ports{
		"80":                  {{Protocol: "tcp", ContainerPort: 80}},
		"80/UDP":              {{Protocol: "udp", ContainerPort: 80}},
		":80":                 {{Protocol: "tcp", ContainerPort: 80}},
		"8080:80/tcp":         {{Protocol: "tcp", HostPort: 8080, ContainerPort: 80}},
		"80-81":               {{Protocol: "tcp", ContainerPort: 80}, {Protocol: "tcp", ContainerPort: 81}},
		"8080-8081:80-81":     {{Protocol: "tcp", HostPort: 8080, ContainerPort: 80}, {Protocol: "tcp", HostPort: 8081, ContainerPort: 81}},
		"8080-8090:80":        {{Protocol: "tcp", HostPort: 8080, HostPortEnd: 8090, ContainerPort: 80}},
		"8080-8080:80":        {{Protocol: "tcp", HostPort: 8080, ContainerPort: 80}},
		"127.0.0.1:8080:80":   {{Protocol: "tcp", HostAddress: v4, HostPort: 8080, ContainerPort: 80}},
		"127.0.0.1::80/udp":   {{Protocol: "udp", HostAddress: v4, ContainerPort: 80}},
		"[::1]:8080:80":       {{Protocol: "tcp", HostAddress: v6, HostPort: 8080, ContainerPort: 80}},
		"[::1]::80":           {{Protocol: "tcp", HostAddress: v6, ContainerPort: 80}},
		"0.0.0.0:1:65535":     {{Protocol: "tcp", HostAddress: netip.IPv4Unspecified(), HostPort: 1, ContainerPort: 65535}},
		"[::]:65535:1":        {{Protocol: "tcp", HostAddress: netip.IPv6Unspecified(), HostPort: 65535, ContainerPort: 1}},
		"65534-65535:1-2":     {{Protocol: "tcp", HostPort: 65534, ContainerPort: 1}, {Protocol: "tcp", HostPort: 65535, ContainerPort: 2}},
		"127.0.0.1::80-80":    {{Protocol: "tcp", HostAddress: v4, ContainerPort: 80}},
		"127.0.0.1:1-2:80":    {{Protocol: "tcp", HostAddress: v4, HostPort: 1, HostPortEnd: 2, ContainerPort: 80}},
		"192.0.2.1:53:53/udp": {{Protocol: "udp", HostAddress: netip.MustParseAddr("192.0.2.1"), HostPort: 53, ContainerPort: 53}},
	} {
		got, err := Port(in)
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", in, err, diff)
		}
	}
	for in, want := range map[string]string{
		"":                     publishForm,
		"/tcp":                 publishForm,
		"80/sctp":              `protocol "sctp": want tcp or udp`,
		"80/":                  `protocol ""`,
		"0":                    `container port "0": want 1 to 65535`,
		"65536":                `container port "65536"`,
		"+80":                  `container port "+80"`,
		"080":                  `container port "080"`,
		"81-80":                `container port "81-80"`,
		"http":                 `container port "http"`,
		"x:80":                 `host port "x": want 1 to 65535`,
		"0:80":                 `host port "0"`,
		"8080-8082:80-81":      "3 host ports for 2 container ports: want as many",
		"8080:80-81":           "1 host ports for 2 container ports",
		"localhost:8080:80":    `host address "localhost"`,
		"::1:8080:80":          publishForm,
		"[127.0.0.1]:8080:80":  publishForm,
		"[::1]:80":             publishForm,
		"[::1%lo]:8080:80":     `host address "::1%lo"`,
		"[::ffff:1.2.3.4]:1:1": "host address",
		"[::1:8080:80":         publishForm,
		":8080:80":             publishForm,
		"1:2:3:4":              publishForm,
	} {
		if got, err := Port(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want an error with %q", in, got, err, want)
		}
	}
}

func TestPortQuery(t *testing.T) {
	t.Parallel()
	if n, protocol, err := PortQuery("53/UDP"); n != 53 || protocol != "udp" || err != nil {
		t.Errorf("got %d, %q, %v", n, protocol, err)
	}
	for _, in := range []string{"", "0", "80/", "80/icmp", "80-81", "8080:80"} {
		if _, _, err := PortQuery(in); err == nil {
			t.Errorf("%q: want an error", in)
		}
	}
}

// Whatever is accepted is valid but for ports that a user asked for twice, and
// says what was asked for.
func FuzzPort(f *testing.F) {
	for _, seed := range []string{"80", "127.0.0.1:8080:80/udp", "[::1]::80", "1-3:4-6", "1-3:4", ":::", "[", "]:", "-", "80/tcp/udp"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ports, err := Port(s)
		if err != nil {
			if len(ports) > 0 || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v and the error %q, want one line alone", ports, err)
			}
			return
		}
		if len(ports) == 0 {
			t.Fatal("want a port")
		}
		template := resource.ContainerTemplate{Image: "box", Ports: ports}
		if err := template.Validate(); len(ports) <= resource.MaxPublishedPorts && err != nil && !ports[0].HostAddress.IsMulticast() {
			t.Fatalf("accepted, but: %v", err)
		}
	})
}
