package networks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/networkfile"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// internalVariant is what --internal asks of a plugin.
const internalVariant = "internal"

type networkCreateOptions struct {
	configuration   resource.NetworkConfiguration
	internal        bool
	ipv4, ipv6      bool
	routes, ranges  []string
	dns             []string
	options, labels []string
	file            string
}

func newNetworkCreate(f *frame.Frame) *cobra.Command {
	var o networkCreateOptions
	c := &cobra.Command{
		Use:   "create [FLAGS] {NAME | --file FILE}",
		Short: "Create a network and start its plugin",
		Long: `Create a network and start its plugin. The command returns when the network is
ready, or leaves nothing behind. Subnets and MTU that are not given are chosen
by the plugin; "patchbay plugin list" shows the plugins and their variants.

--file creates all networks of a TOML or JSON file, as "patchbay network export"
writes it, or none of them. Its keys are the flags of this command.`,
		Example: `  patchbay network create web
  patchbay network create db --internal --subnet 10.7.0.0/24 --subnet-v6 fd00:7::/64
  patchbay network create six --ipv4=false
  patchbay network create lab --subnet 10.7.0.0/24 --reserve 10.7.0.0/28 --reserve 10.7.0.200-10.7.0.250
  patchbay network create office --route 192.168.0.0/16 --route 10.9.0.0/16=10.7.0.9 --subnet 10.7.0.0/24
  patchbay network create lan --plugin macvlan --plugin-variant private --option parent=eth0
  patchbay network create --file networks.toml
  ssh other patchbay network export web db | patchbay network create --file -`,
		Args: o.arguments(f),
		RunE: func(c *cobra.Command, args []string) error {
			if o.file != "" {
				return createFromFile(c.Context(), f, o.file)
			}
			request := o.request(f, args)
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runNetworkCreate(c.Context(), api.Networks, f.Stdout, request)
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.configuration.Plugin.Plugin, "plugin", "", "plugin that serves the network (default: the configured one)")
	flags.StringVar(&o.configuration.Plugin.Variant, "plugin-variant", "", "way in which the plugin serves it (default: the plugin's)")
	flags.BoolVar(&o.internal, "internal", false, `nothing gets in or out: --plugin-variant internal`)
	flags.Var(frame.Checked(f, &o.configuration.IPv4Subnet, "cidr", parse.IPv4Subnet), "subnet", "IPv4 subnet")
	flags.Var(frame.Checked(f, &o.configuration.IPv6Subnet, "cidr", parse.IPv6Subnet), "subnet-v6", "IPv6 subnet")
	flags.Var(frame.Checked(f, &o.configuration.MTU, "bytes", parse.MTU), "mtu", "largest packet")
	flags.BoolVar(&o.ipv4, "ipv4", true, "give containers IPv4 addresses")
	flags.BoolVar(&o.ipv6, "ipv6", true, "give containers IPv6 addresses")
	flags.StringArrayVar(&o.ranges, "reserve", nil, "ADDRESS, PREFIX or FIRST-LAST given on request only (repeatable)")
	flags.StringArrayVar(&o.dns, "dns", nil, "ADDRESS of a name server for what the network does not know (repeatable; default: the host's)")
	flags.StringArrayVar(&o.configuration.DNS.Search, "dns-search", nil, "DOMAIN to look names up in (repeatable)")
	flags.StringArrayVar(&o.configuration.DNS.Options, "dns-option", nil, "OPTION of resolv.conf(5), like ndots:2 (repeatable)")
	flags.StringArrayVar(&o.routes, "route", nil, "DESTINATION[=GATEWAY] that containers reach by this network; default gateway: the network's (repeatable)")
	flags.StringArrayVarP(&o.options, "option", "o", nil, "KEY=VALUE for the plugin (repeatable)")
	flags.StringArrayVarP(&o.labels, "label", "l", nil, "KEY[=VALUE] to find it by (repeatable)")
	flags.StringVarP(&o.file, "file", "f", "", "FILE with networks to create, TOML or JSON; \"-\" is standard input")
	f.Check(c, func() { o.request(f, nil) })
	frame.CompleteWith(c, "plugin", f.CompletePlugins("network"))
	return c
}

// arguments wants a name, or a file instead of the name and of all flags that
// say something of one network.
func (o *networkCreateOptions) arguments(f *frame.Frame) cobra.PositionalArgs {
	one, none := f.Exactly(1, "a NAME"), f.Exactly(0, "no NAME beside --file")
	return func(c *cobra.Command, args []string) error {
		if o.file == "" {
			return one(c, args)
		}
		c.Flags().Visit(func(flag *pflag.Flag) {
			if flag.Name != "file" && c.InheritedFlags().Lookup(flag.Name) == nil {
				f.Fault(fmt.Errorf("--%s: the file says it of each network, want none beside --file", flag.Name))
			}
		})
		return none(c, args)
	}
}

func createFromFile(ctx context.Context, f *frame.Frame, path string) error {
	data, err := readFile(f, path, networkfile.MaxSize)
	if err != nil {
		return err
	}
	networks, err := networkfile.Read(path, data)
	if err != nil {
		return err
	}
	api, err := f.Dial(ctx)
	if err != nil {
		return err
	}
	defer api.Close()
	return createNetworks(ctx, api.Networks, f.Stdout, networks)
}

func (o *networkCreateOptions) request(f *frame.Frame, args []string) *apiserverv1.NetworkServiceCreateRequest {
	if o.internal {
		if v := o.configuration.Plugin.Variant; v != "" && v != internalVariant {
			f.Fault(fmt.Errorf("--internal: means --plugin-variant %s, which contradicts --plugin-variant %s", internalVariant, v))
		}
		o.configuration.Plugin.Variant = internalVariant
	}
	var err error
	o.configuration.Routes, err = parse.Routes(o.routes)
	f.Fault(err)
	o.configuration.IPv4Disabled, o.configuration.IPv6Disabled = !o.ipv4, !o.ipv6
	o.configuration.ReservedRanges, err = parse.AddressRanges(o.ranges)
	f.Fault(err)
	o.configuration.DNS.Servers, err = parse.NameServers(o.dns)
	f.Fault(err)
	o.configuration.Options, err = parse.Pairs("option", o.options, false)
	f.Fault(err)
	labels, err := parse.Pairs("label", o.labels, true)
	f.Fault(errors.Join(err, resource.ValidateLabels(labels)))
	f.Fault(o.validate())
	request := &apiserverv1.NetworkServiceCreateRequest{
		Labels:        labels,
		Configuration: apiwire.NetworkConfigurationToProto(o.configuration),
	}
	if len(args) > 0 {
		request.Name = args[0]
		f.Fault(resource.ValidateName("network", request.Name))
	}
	return request
}

// validate finds the faults that patchbayd would find, so that they are told with
// those of the flags.
func (o *networkCreateOptions) validate() error {
	c := o.configuration
	c.Plugin.Plugin = cmp.Or(c.Plugin.Plugin, "default")
	return c.Validate()
}

type networkCreator interface {
	Create(context.Context, *apiserverv1.NetworkServiceCreateRequest) (*apiserverv1.NetworkServiceCreateResponse, error)
}

func runNetworkCreate(ctx context.Context, api networkCreator, out io.Writer, request *apiserverv1.NetworkServiceCreateRequest) error {
	answer, err := api.Create(ctx, request)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, answer.GetNetwork().GetMetadata().GetName())
	return err
}
