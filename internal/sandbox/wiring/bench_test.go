package wiring

import (
	"testing"

	"patchbay.dev/patchbay/resource"
)

// The plan of all interfaces and routing tables of a container on four networks.
func BenchmarkPlan(b *testing.B) {
	var attachments []resource.AllocatedAttachment
	for _, words := range []string{
		"10.1.0.2/24 fd01::2/64 via 10.1.0.1 fd01::1",
		"10.2.0.2/24 fd02::2/64 via 10.2.0.1 fd02::1 priority 5",
		"10.3.0.2/24 fd03::2/64 via 10.3.0.1 fd03::1 to 10.99.0.0/16=10.3.0.9",
		"10.4.0.2/24 fd04::2/64",
	} {
		attachments = append(attachments, resource.AllocatedAttachment{Attachment: asked(b, words), Strategy: "describe"})
	}
	strategies := map[string]Strategy{"describe": describe{}}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Plan(attachments, strategies); err != nil {
			b.Fatal(err)
		}
	}
}
