package rpc

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/resource"
)

// someContainers returns containers that run on four networks, with ten ports each.
func someContainers(count int) []*snapshot.Of[resource.Container] {
	out := make([]*snapshot.Of[resource.Container], count)
	for i := range out {
		id := strings.Repeat(fmt.Sprintf("%08x", i), 8)
		c := resource.Container{
			Metadata: resource.Metadata{ID: id, Name: fmt.Sprintf("c%d", i), CreatedAt: time.Unix(int64(i), 7)},
			Configuration: resource.ContainerConfiguration{
				Image: "box:latest", ImageDigest: "sha256:" + id, Hostname: id[:12], Runtime: "oci", StopSignal: "SIGTERM", StopTimeout: resource.DefaultStopTimeout,
				Process: resource.Process{Args: []string{"sleep", "1000000"}, Env: []string{"PATH=/bin"}},
			},
			Status: resource.ContainerStatus{State: resource.ContainerRunning, PID: i, HelperPID: i, StartedAt: time.Unix(int64(i), 8)},
		}
		for n := range 4 {
			c.Configuration.Networks = append(c.Configuration.Networks, resource.AttachmentConfiguration{Network: id, InterfaceName: fmt.Sprintf("eth%d", n)})
			c.Status.Attachments = append(c.Status.Attachments, resource.Attachment{
				NetworkID: id, Network: fmt.Sprintf("n%d", n), Hostname: c.Name, Aliases: []string{id[:12]}, MTU: 1500, InterfaceName: fmt.Sprintf("eth%d", n),
				IPv4Address: netip.MustParsePrefix("10.199.0.2/20"), IPv4Gateway: netip.MustParseAddr("10.199.0.1"),
				IPv6Address: netip.MustParsePrefix("fd00:1:2:3::2/64"), IPv6Gateway: netip.MustParseAddr("fd00:1:2:3::1"), MACAddress: "02:00:00:00:00:01",
			})
		}
		for p := range uint16(10) {
			c.Configuration.Ports = append(c.Configuration.Ports, resource.PublishedPort{Protocol: "tcp", HostPort: 20000 + p, ContainerPort: 20000 + p})
		}
		c.Status.Ports = c.Configuration.Ports
		out[i] = &snapshot.Of[resource.Container]{Value: c}
	}
	return out
}

// BenchmarkList is a list of a thousand containers over a unix socket, asked for and read.
func BenchmarkList(b *testing.B) {
	for _, brief := range []bool{false, true} {
		b.Run(fmt.Sprintf("brief=%v", brief), func(b *testing.B) {
			client, fake := serveContainers(b)
			fake.all = someContainers(1000)
			b.ReportAllocs()
			for b.Loop() {
				answer, err := client.List(b.Context(), &apiserverv1.ContainerServiceListRequest{All: true, Brief: brief})
				if err != nil || len(answer.GetContainers()) != len(fake.all) {
					b.Fatal(len(answer.GetContainers()), err)
				}
				<-fake.calls
			}
		})
	}
}
