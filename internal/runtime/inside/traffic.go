package inside

import (
	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/resource"
)

// Traffic is what the interfaces of a sandbox have counted, as sandbox.Meter wants
// it.
func Traffic(counters map[string]inspect.Counters) []resource.AttachmentTraffic {
	var all []resource.AttachmentTraffic
	for name, c := range counters {
		all = append(all, resource.AttachmentTraffic{InterfaceName: name, Received: &c.Received, Sent: &c.Sent})
	}
	return all
}
