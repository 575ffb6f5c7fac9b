package explain

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/sandbox/routes"
	"patchbay.dev/patchbay/resource"
)

// lookupTimeout bounds what one network may take to answer.
const lookupTimeout = 2 * time.Second

// name explains the way to each address of a name on the first network that
// knows it.
func (x Explainer) name(ctx context.Context, target string) ([]resource.Explanation, error) {
	name := strings.TrimSuffix(target, ".")
	var names []resource.Explained
	var addresses []netip.Addr
	asked := x.byPriority()
	scoped := slices.ContainsFunc(asked, func(a resource.AllocatedAttachment) bool {
		_, ok := within(name, a.Attachment.Network)
		return ok
	})
	for _, a := range asked {
		name, ok := within(name, a.Attachment.Network)
		if !ok && scoped {
			continue
		}
		found, said := x.ask(ctx, a, name)
		switch {
		case len(found) == 0:
		case len(addresses) == 0:
			addresses = found
			said.Why += "; the first that knows it"
		default:
			said.Why += "; comes after those of an earlier network"
		}
		names = append(names, said)
	}
	if len(addresses) == 0 {
		return nil, unknownName(target, names)
	}
	var out []resource.Explanation
	var errs []error
	for _, address := range addresses {
		e, err := x.address(ctx, address)
		e.Target, e.Names = target, names
		out, errs = append(out, e), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// within returns the name to ask a network for, and whether it is for that one
// alone: NAME.NETWORK. Other dots belong to the name.
func within(name, network string) (string, bool) {
	if short, ok := strings.CutSuffix(strings.ToLower(name), "."+strings.ToLower(network)); ok {
		return short, true
	}
	return name, false
}

// byPriority are the attachments in the order in which their networks are asked
// for names, each network once.
func (x Explainer) byPriority() []resource.AllocatedAttachment {
	var out []resource.AllocatedAttachment
	for _, a := range x.Attachments {
		known := func(o resource.AllocatedAttachment) bool { return o.Attachment.NetworkID == a.Attachment.NetworkID }
		if !slices.ContainsFunc(out, known) {
			out = append(out, a)
		}
	}
	return routes.ByPriority(out)
}

func (x Explainer) ask(ctx context.Context, a resource.AllocatedAttachment, name string) ([]netip.Addr, resource.Explained) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	network := "network " + a.Attachment.Network
	attachments, err := x.Plugins.Lookup(ctx, a.Lease, name)
	if err != nil {
		return nil, resource.Explained{Answer: "no answer", Why: fmt.Sprintf("%s: its plugin %s: %s", network, a.Plugin.Plugin, firstLine(err))}
	}
	var addresses []netip.Addr
	var texts []string
	for _, at := range attachments {
		for _, p := range []netip.Prefix{at.IPv4Address, at.IPv6Address} {
			if p.IsValid() {
				addresses = append(addresses, p.Addr())
				texts = append(texts, p.Addr().String())
			}
		}
	}
	switch {
	case len(attachments) == 0:
		return nil, resource.Explained{Answer: "unknown", Why: network + " has nobody of that name"}
	case len(addresses) == 0:
		return nil, resource.Explained{Answer: "no address", Why: network + " knows the name and gives no addresses"}
	}
	return addresses, resource.Explained{Answer: strings.Join(texts, ", "), Why: network + " has a container of that name"}
}

func unknownName(target string, names []resource.Explained) error {
	lines := make([]error, 0, len(names)+1)
	lines = append(lines, fmt.Errorf("name %s: no network of the container knows it; for another destination give its address: %w", target, errdefs.ErrNotFound))
	for _, n := range names {
		lines = append(lines, fmt.Errorf("%s: %s", n.Why, n.Answer))
	}
	return errors.Join(lines...)
}
