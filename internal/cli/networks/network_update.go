package networks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// nothing is the value of a repeated flag that takes all values away.
const nothing = "none"

type networkUpdateOptions struct {
	labels, removeLabels       []string
	ranges                     []string
	dns, dnsSearch, dnsOptions []string
	mtu                        int
	withMTU                    bool
}

func newNetworkUpdate(f *frame.Frame) *cobra.Command {
	var o networkUpdateOptions
	c := &cobra.Command{
		Use:   "update FLAGS NAME",
		Short: "Change a network without detaching anyone",
		Long: `Change labels, name servers, MTU or reserved ranges of a network while
containers are plugged into it. What no flag names stays; a flag that can be
given more than once replaces all former values, and "none" takes them away.
Running containers keep the addresses, the MTU and the name servers that they
were started with; MTU and name servers count from their next start on.`,
		Example: `  patchbay network update web --label tier=front --remove-label draft
  patchbay network update web --dns 192.0.2.53 --dns-search example.net
  patchbay network update web --mtu 1400 --reserve 10.7.0.0/28
  patchbay network update web --reserve none`,
		Args:              f.Exactly(1, "a NAME"),
		ValidArgsFunction: f.CompleteNetworks(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.withMTU = c.Flags().Changed("mtu")
			request := o.request(f, args)
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runNetworkUpdate(c.Context(), api.Networks, f.Stdout, o, request)
		},
	}
	flags := c.Flags()
	flags.StringArrayVarP(&o.labels, "label", "l", nil, "KEY[=VALUE] to set (repeatable)")
	flags.StringArrayVar(&o.removeLabels, "remove-label", nil, "KEY of a label to take away (repeatable)")
	flags.Var(frame.Checked(f, &o.mtu, "bytes", parse.MTU), "mtu", "largest packet of attachments from now on")
	flags.StringArrayVar(&o.ranges, "reserve", nil, "ADDRESS, PREFIX or FIRST-LAST given on request only (repeatable)")
	flags.StringArrayVar(&o.dns, "dns", nil, "ADDRESS of a name server for what the network does not know (repeatable)")
	flags.StringArrayVar(&o.dnsSearch, "dns-search", nil, "DOMAIN to look names up in (repeatable)")
	flags.StringArrayVar(&o.dnsOptions, "dns-option", nil, "OPTION of resolv.conf(5), like ndots:2 (repeatable)")
	f.Check(c, func() { o.request(f, nil) })
	return c
}

// values returns those of a repeated flag; none at all for "none".
func values(given []string) []string {
	if slices.Equal(given, []string{nothing}) {
		return nil
	}
	return given
}

// request checks the flags. The name servers are completed by merge.
func (o *networkUpdateOptions) request(f *frame.Frame, args []string) *apiserverv1.NetworkServiceUpdateRequest {
	labels, err := parse.Pairs("label", o.labels, true)
	f.Fault(errors.Join(err, resource.ValidateLabels(labels)))
	r := &apiserverv1.NetworkServiceUpdateRequest{Labels: labels, RemoveLabels: o.removeLabels}
	if len(args) > 0 {
		r.Name = args[0]
	}
	for _, key := range o.removeLabels {
		if _, both := labels[key]; both {
			f.Fault(fmt.Errorf("label %q: is set and taken away, want one of them", key))
		}
	}
	ranges, err := parse.AddressRanges(values(o.ranges))
	f.Fault(err)
	if len(o.ranges) > 0 {
		r.ReservedRanges = &apiserverv1.NetworkReservedRanges{Ranges: wire.RangesToProto(ranges)}
	}
	_, err = parse.NameServers(values(o.dns))
	f.Fault(err)
	if o.withMTU {
		mtu := uint32(o.mtu)
		r.Mtu = &mtu
	}
	if len(o.labels)+len(o.removeLabels)+len(o.ranges)+len(o.dns)+len(o.dnsSearch)+len(o.dnsOptions) == 0 && !o.withMTU && r.Name != "" {
		f.Fault(errors.New("nothing to change: want a flag that says what"))
	}
	return r
}

type networkUpdater interface {
	networkGetter
	Update(context.Context, *apiserverv1.NetworkServiceUpdateRequest) (*apiserverv1.NetworkServiceUpdateResponse, error)
}

func runNetworkUpdate(ctx context.Context, api networkUpdater, out io.Writer, o networkUpdateOptions, request *apiserverv1.NetworkServiceUpdateRequest) error {
	if len(o.dns)+len(o.dnsSearch)+len(o.dnsOptions) > 0 {
		n, err := getNetwork(ctx, api, request.GetName())
		if err != nil {
			return err
		}
		request.Dns = wire.DNSToProto(o.merge(n.Configuration.DNS))
		if request.Dns == nil {
			request.Dns = &typesv1.DNSConfiguration{}
		}
	}
	answer, err := api.Update(ctx, request)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, answer.GetNetwork().GetMetadata().GetName())
	return err
}

// merge is the name server configuration that the flags make of the present one.
func (o *networkUpdateOptions) merge(d resource.DNSConfiguration) resource.DNSConfiguration {
	if len(o.dns) > 0 {
		d.Servers, _ = parse.NameServers(values(o.dns)) // has been checked
	}
	if len(o.dnsSearch) > 0 {
		d.Search = values(o.dnsSearch)
	}
	if len(o.dnsOptions) > 0 {
		d.Options = values(o.dnsOptions)
	}
	return d
}
