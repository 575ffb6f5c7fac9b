package running

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/cli/pull"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// containerFlags are the flags of run and create: a container as the user
// wants it.
type containerFlags struct {
	name                                  string
	template                              resource.ContainerTemplate
	entrypoint                            string
	networks, labels                      []string
	dns, extraHosts                       []string
	publish                               []string
	env, envFiles, volumes, mounts, tmpfs []string
	stopTimeout                           time.Duration
	logOptions                            []string
	pull                                  pull.Policy
	platform                              string
}

func (o *containerFlags) bind(f *frame.Frame, c *cobra.Command) {
	c.Flags().Bool("help", false, "help for "+c.Name()) // -h is the host name, as it is with other engines
	flags := c.Flags()
	flags.SetInterspersed(false) // what follows the image is the container's
	o.bindProcess(f, flags)
	o.bindPlaces(flags)
	o.bindNames(flags)
	o.bindPorts(flags)
	o.bindLimits(f, flags)
	flags.StringVar(&o.name, "name", "", "name of the container (default: one is made up)")
	flags.StringArrayVarP(&o.labels, "label", "l", nil, "KEY[=VALUE] to find it by (repeatable)")
	flags.BoolVar(&o.template.AutoRemove, "rm", false, "delete the container when it has ended")
	flags.StringVar(&o.template.Runtime, "runtime", "", "plugin that runs it (default: the configured one)")
	o.pull = pull.Missing
	flags.Var(frame.CheckedDefault(f, &o.pull, "policy", pull.ParsePolicy, string(pull.Missing)),
		"pull", "when to pull the image: missing, always or never")
	flags.Var(frame.Checked(f, &o.platform, "string", pull.ParsePlatform),
		"platform", "platform of the image, like linux/arm64; one that is there for another is pulled anew (default: the one that is there, else the host's)")

	frame.Complete(c, "pull", string(pull.Missing), string(pull.Always), string(pull.Never))
	frame.CompleteWith(c, "network", f.CompleteNetworks(0))
	frame.CompleteWith(c, "runtime", f.CompletePlugins("runtime"))
	c.ValidArgsFunction = f.CompleteImages(1)
}

func (o *containerFlags) bindProcess(f *frame.Frame, flags *pflag.FlagSet) {
	t := &o.template
	flags.BoolVarP(&t.Stdin, "interactive", "i", false, "keep standard input open")
	flags.BoolVarP(&t.Terminal, "tty", "t", false, "give the process a terminal")
	flags.StringArrayVarP(&o.env, "env", "e", nil, "NAME=VALUE, or NAME for the caller's value (repeatable)")
	flags.StringArrayVar(&o.envFiles, "env-file", nil, "file with a line NAME=VALUE or NAME for each variable (repeatable)")
	flags.StringVarP(&t.WorkingDirectory, "workdir", "w", "", "working directory (default: the image's)")
	flags.StringVarP(&t.User, "user", "u", "", "NAME|UID[:GROUP|GID] (default: the image's)")
	flags.StringVar(&o.entrypoint, "entrypoint", "", `command in place of the image's; "" for none`)
	flags.StringVarP(&t.Hostname, "hostname", "h", "", "host name inside (default: the start of the id)")
	flags.BoolVar(&t.Init, "init", false, "run a minimal init as process 1, which passes signals on and reaps")
	flags.StringVar(&t.StopSignal, "stop-signal", "", "signal that asks it to end (default: the image's, else TERM)")
	flags.Var(frame.Checked(f, &o.stopTimeout, "time", parse.Timeout), "stop-timeout", "time to end in after that signal (default 10s)")
}

func (o *containerFlags) bindPlaces(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.networks, "network", nil,
		`NAME[,key=value...], with keys mac, mtu, ip, ip6, ifname, hostname, alias, gateway-priority, sysctl, rate-in, rate-out (repeatable; the order is eth0, eth1, ...); "none" for loopback only`)
	flags.StringArrayVarP(&o.volumes, "volume", "v", nil, "[SOURCE:]TARGET[:OPTION,...]: mount a directory or file of the host (repeatable)")
	flags.StringArrayVar(&o.mounts, "mount", nil, "type=bind|tmpfs|volume,target=PATH[,source=PATH][,readonly][,...] (repeatable)")
	flags.StringArrayVar(&o.tmpfs, "tmpfs", nil, "PATH of a file system in memory (repeatable)")
	flags.BoolVar(&o.template.ReadOnly, "read-only", false, "let nobody write to the root file system")
}

func (o *containerFlags) bindPorts(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&o.publish, "publish", "p", nil,
		"[[ADDRESS:][PORT[-END]]:]CONTAINER-PORT[-END][/tcp|/udp] to publish on the host; without PORT one is chosen, with a range one of it for a single CONTAINER-PORT (repeatable)")
	flags.BoolVarP(&o.template.PublishAll, "publish-all", "P", false, "publish all ports that the image exposes, on ports of the host that are chosen")
}

func (o *containerFlags) bindNames(flags *pflag.FlagSet) {
	t := &o.template
	flags.StringArrayVar(&o.dns, "dns", nil, "ADDRESS of a name server for what the networks do not know (repeatable; default: the networks', else the host's)")
	flags.StringArrayVar(&t.DNS.Search, "dns-search", nil, `DOMAIN to look names up in; "." for none (repeatable; default: the networks' and the host's)`)
	flags.StringArrayVar(&t.DNS.Options, "dns-option", nil, "OPTION of resolv.conf(5), like ndots:2 (repeatable)")
	flags.StringArrayVar(&o.extraHosts, "add-host", nil, "NAME:ADDRESS to know by name; NAME:host-gateway for the host (repeatable)")
}

func (o *containerFlags) bindLimits(f *frame.Frame, flags *pflag.FlagSet) {
	t := &o.template
	flags.StringSliceVar(&t.CapabilitiesAdd, "cap-add", nil, "capability to have, or ALL (repeatable)")
	flags.StringSliceVar(&t.CapabilitiesDrop, "cap-drop", nil, "capability to lack, or ALL (repeatable)")
	flags.VarP(frame.Checked(f, &t.Resources.MemoryBytes, "size", parse.Memory), "memory", "m", "most memory, like 512m or 2g")
	flags.Var(frame.Checked(f, &t.Resources.NanoCPUs, "number", parse.CPUs), "cpus", "most processors, like 1.5")
	flags.StringArrayVar(&o.logOptions, "log-opt", nil,
		"max-size=SIZE of each file of the log, like 10m, or -1 for one that grows; max-file=NUMBER of them (repeatable; default: the configured ones, 10m and 3)")
	flags.Var(frame.Checked(f, &t.Resources.PIDs, "number", func(s string) (int64, error) { return parse.Count("pids-limit", s) }),
		"pids-limit", "most processes and threads; those of --init do not count")
}

// request checks what the flags are together, and returns what to ask of
// patchbayd. Faults go to the frame.
func (o *containerFlags) request(f *frame.Frame, c *cobra.Command, args []string) *apiserverv1.ContainerServiceCreateRequest {
	t := &o.template
	var err error
	t.Networks, t.NoNetwork, err = parse.Networks(o.networks)
	f.Fault(err)
	networksParse := err == nil
	t.DNS.Servers, err = parse.NameServers(o.dns)
	f.Fault(err)
	t.ExtraHosts, err = parse.ExtraHosts(o.extraHosts)
	f.Fault(err)
	t.Ports, err = parse.Ports(o.publish)
	f.Fault(err)
	labels, err := parse.Pairs("label", o.labels, true)
	f.Fault(errors.Join(err, resource.ValidateLabels(labels)))
	f.Fault(o.setLogLimits())
	t.Env = o.environment(f)
	t.Mounts = o.allMounts(f)
	if c.Flags().Changed("stop-timeout") {
		t.StopTimeout = &o.stopTimeout
	}
	if c.Flags().Changed("entrypoint") {
		t.ClearEntrypoint = true
		if o.entrypoint != "" {
			t.Entrypoint = []string{o.entrypoint}
		}
	}
	if len(args) > 0 {
		t.Image, t.Command = args[0], args[1:]
	}
	if c.Flags().Changed("name") {
		f.Fault(resource.ValidateName("container", o.name))
	}
	f.Fault(o.validate(networksParse, len(args) > 0))
	return &apiserverv1.ContainerServiceCreateRequest{
		Name: o.name, Labels: labels, Template: apiwire.ContainerTemplateToProto(*t),
	}
}

// validate finds the faults of the template that patchbayd would find, so that
// they are told with those of the flags. What did not parse is told already.
func (o *containerFlags) validate(networks, image bool) error {
	t := o.template
	if !networks {
		t.Networks = nil
	}
	if !image {
		t.Image = "image"
	}
	var add, drop, signal error
	t.CapabilitiesAdd, add = parse.Capabilities(t.CapabilitiesAdd)
	t.CapabilitiesDrop, drop = parse.Capabilities(t.CapabilitiesDrop)
	if t.StopSignal != "" {
		signal = parse.Signal("stop signal", t.StopSignal)
	}
	return errors.Join(t.Validate(), add, drop, signal)
}

// environment is that of the files, then that of the flags, so that a flag wins.
func (o *containerFlags) environment(f *frame.Frame) []string {
	var out []string
	for _, path := range o.envFiles {
		file, err := os.Open(path)
		if err != nil {
			f.Fault(fmt.Errorf("env-file %s: %w", path, errors.Unwrap(err)))
			continue
		}
		env, err := parse.EnvironmentFile(path, file, os.LookupEnv)
		file.Close()
		f.Fault(err)
		out = append(out, env...)
	}
	env, err := parse.Environment(o.env, os.LookupEnv)
	f.Fault(err)
	return append(out, env...)
}

func (o *containerFlags) allMounts(f *frame.Frame) []resource.Mount {
	directory, err := os.Getwd()
	if err != nil {
		directory = "/"
	}
	var out []resource.Mount
	add := func(m resource.Mount, err error) {
		f.Fault(err)
		if err == nil {
			out = append(out, m)
		}
	}
	for _, v := range o.volumes {
		add(parse.Volume(v, directory))
	}
	for _, v := range o.mounts {
		add(parse.Mount(v, directory))
	}
	for _, v := range o.tmpfs {
		add(parse.Mount("type=tmpfs,target="+v, directory))
	}
	return out
}

// setLogLimits takes the limits of the log from --log-opt.
func (o *containerFlags) setLogLimits() error {
	var faults []error
	for _, option := range o.logOptions {
		key, value, _ := strings.Cut(option, "=")
		if err := o.template.Log.Set(key, value); err != nil {
			faults = append(faults, fmt.Errorf("--log-opt %s: %w", option, err))
		}
	}
	return errors.Join(faults...)
}
