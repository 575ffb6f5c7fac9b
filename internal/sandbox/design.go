package sandbox

import (
	"slices"

	"patchbay.dev/patchbay/resource"
)

// design is all that a sandbox is made from.
type design struct {
	Configuration
	wished    resource.DNSConfiguration      // by the user
	hosts     []resource.ExtraHost           // by the user
	allocated []resource.AllocatedAttachment // as planned
	plans     []Interface                    // of the attachments, in their order
	namespace string                         // where plugins reach the network; "": nowhere
}

// draw designs a sandbox of what d has of the user, with these attachments. It
// touches nothing.
func (s *Sandbox) draw(d design, allocated []resource.AllocatedAttachment) (design, error) {
	plans, err := Plan(allocated, s.config.Strategies)
	if err != nil {
		return design{}, err
	}
	c := d.Configuration
	c.Attachments = planned(allocated, plans)
	allocated = slices.Clone(allocated)
	for i, a := range c.Attachments {
		allocated[i].Attachment = a
	}
	c.DNS = clientDNS(s.engine(), d.wished, allocated)
	c.ExtraHosts = hostEntries(d.hosts, allocated)
	return design{Configuration: c, wished: d.wished, hosts: d.hosts, allocated: allocated, plans: plans}, nil
}

// redraw is a design with other attachments.
func (s *Sandbox) redraw(d design, allocated []resource.AllocatedAttachment) (design, error) {
	other, err := s.draw(d, allocated)
	other.namespace = d.namespace
	return other, err
}
