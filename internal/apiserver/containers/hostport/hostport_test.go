package hostport

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/resource"
)

func TestMergeExposed(t *testing.T) {
	t.Parallel()
	user := []resource.PublishedPort{{Protocol: "tcp", HostPort: 8080, ContainerPort: 80}}
	got := MergeExposed(user, []string{"80/tcp", "443", "53/udp", "9000-9001/tcp", "1/sctp", "http", "0", "70000", "2-1"})
	want := append(slices.Clone(user),
		resource.PublishedPort{Protocol: "tcp", ContainerPort: 443},
		resource.PublishedPort{Protocol: "udp", ContainerPort: 53},
		resource.PublishedPort{Protocol: "tcp", ContainerPort: 9000},
		resource.PublishedPort{Protocol: "tcp", ContainerPort: 9001})
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := MergeExposed(nil, []string{"1-65535"}); len(got) > resource.MaxPublishedPorts+1 {
		t.Errorf("got %d ports", len(got))
	}
}

func TestAmong(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddr("192.0.2.2")
	ports := []resource.PublishedPort{
		{Protocol: "tcp", HostPort: 80, ContainerPort: 80},
		{Protocol: "udp", HostPort: 80, ContainerPort: 80, HostAddress: at},
		{Protocol: "tcp", HostPort: 81, ContainerPort: 80, HostAddress: netip.IPv6Unspecified()},
	}
	got := Among(ports, map[string][]resource.PublishedPort{
		"one": {{Protocol: "tcp", HostPort: 80, ContainerPort: 1, HostAddress: at}, {Protocol: "tcp", HostPort: 81, ContainerPort: 1, HostAddress: at}},
		"two": {{Protocol: "udp", HostPort: 80, ContainerPort: 1, HostAddress: netip.IPv4Unspecified()}, {Protocol: "udp", HostPort: 82, ContainerPort: 1}},
	})
	if diff := cmp.Diff(map[int]string{0: "container one", 1: "container two"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := Taken("web", ports, got)
	if want := "container web: publish 80/tcp: the host port is taken by container one\ncontainer web: publish 192.0.2.2:80/udp: the host port is taken by container two"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	if err := Taken("web", ports, nil); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	ports := []resource.PublishedPort{{Protocol: "tcp", HostPort: 80, ContainerPort: 80}, {Protocol: "tcp", HostPort: 81, ContainerPort: 80}}
	helper := fault.New(errdefs.ErrAlreadyExists, "publish 80/tcp: the host port is taken\npublish 192.0.2.9:82/tcp: the host does not have that address\npublish 81/tcp: the host port is taken")
	err := explain("web", ports, helper, map[int]string{0: "process nginx (pid 7)"})
	want := "container web: publish 80/tcp: the host port is taken by process nginx (pid 7)\n" +
		"container web: publish 192.0.2.9:82/tcp: the host does not have that address\n" +
		"container web: publish 81/tcp: the host port is taken"
	if err.Error() != want || !errdefs.IsAlreadyExists(err) {
		t.Errorf("got %v, want %q", err, want)
	}
	for _, other := range []error{nil, fault.New(errdefs.ErrFailedPrecondition, "publish: nowhere")} {
		if got := Explain("web", ports, other); !errors.Is(got, other) {
			t.Errorf("got %v, want %v", got, other)
		}
	}
}

// Lines of a little-endian machine's /proc/net/tcp and tcp6.
func TestParseSocket(t *testing.T) {
	t.Parallel()
	if !littleEndian {
		t.Skip("the lines are those of a little-endian machine")
	}
	for line, want := range map[string]socket{
		"   0: 020200C0:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0": {
			resource.PublishedPort{Protocol: "tcp", HostAddress: netip.MustParseAddr("192.0.2.2"), HostPort: 8080}, "4711",
		},
		"   1: B80D0120000000000000000002000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12 1": {
			resource.PublishedPort{Protocol: "tcp", HostAddress: netip.MustParseAddr("2001:db8::2"), HostPort: 80}, "12",
		},
		"   1: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12 1": {
			resource.PublishedPort{Protocol: "tcp", HostPort: 80}, "12",
		},
		"   1: 0000000000000000FFFF0000020200C0:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12 1": {
			resource.PublishedPort{Protocol: "tcp", HostAddress: netip.MustParseAddr("192.0.2.2"), HostPort: 80}, "12",
		},
	} {
		got, ok := parseSocket("tcp", line)
		if !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", line, got, ok, want)
		}
	}
	for _, line := range []string{
		"", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
		strings.Repeat("x ", 12), "0: 020200C0 1 2 3 4 5 6 7 8", "0: 020200C0:1F90 00000000:0000 06 0:0 0:0 0 0 0 0 3 0", "0: 0202:1F90 1 2 3 4 5 6 7 8",
	} {
		if got, ok := parseSocket("tcp", line); ok {
			t.Errorf("%q: got %v, want nothing", line, got)
		}
	}
}
