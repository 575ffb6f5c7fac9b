package sandbox

import (
	"patchbay.dev/patchbay/internal/sandbox/names"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/resource"
)

// design is all that a sandbox is made from.
type design struct {
	Configuration
	wished    resource.DNSConfiguration      // by the user
	hosts     []resource.ExtraHost           // by the user
	allocated []resource.AllocatedAttachment // as planned
	plans     []wiring.Interface             // of the attachments, in their order
	namespace string                         // where plugins reach the network; "": nowhere
}

// draw is the design d with these attachments in place of its own. It touches
// nothing.
func (s *Sandbox) draw(d design, allocated []resource.AllocatedAttachment) (design, error) {
	plans, allocated, err := wiring.Plan(allocated, s.config.Strategies)
	if err != nil {
		return design{}, err
	}
	d.allocated, d.plans, d.Attachments = allocated, plans, nil
	for _, a := range allocated {
		d.Attachments = append(d.Attachments, a.Attachment)
	}
	d.DNS = d.wish().Client(s.inside())
	d.ExtraHosts = names.HostEntries(d.hosts, allocated)
	return d, nil
}

// wish is what the resolver answers by.
func (d design) wish() names.Wish { return names.Wish{DNS: d.wished, Allocated: d.allocated} }
