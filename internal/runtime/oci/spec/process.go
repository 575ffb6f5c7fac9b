package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/capability"
	"github.com/opencontainers/runtime-spec/specs-go"

	"patchbay.dev/patchbay/resource"
)

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// initTarget is where the minimal init is mounted.
const initTarget = "/dev/init"

// defaultCapabilities are those that other engines give.
var defaultCapabilities = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// AllCapabilities returns the names of all capabilities that this process can
// give, sorted: those of the kernel within its own bounding set.
func AllCapabilities() []string {
	known, err := capability.ListSupported()
	if err != nil { // no /proc: the library's own list
		known = capability.ListKnown()
	}
	var out []string
	for _, c := range known {
		if bound, err := capability.GetBound(c); err != nil || bound {
			out = append(out, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	slices.Sort(out)
	return out
}

// Capabilities returns the sorted set that the wishes make of the default one,
// within all: ALL in add begins with all, ALL in drop with none. Names are taken
// with and without CAP_, in any case; one to add that is not in all is
// errdefs.ErrInvalidArgument.
func Capabilities(all, add, drop []string) ([]string, error) {
	add, drop = capabilityNames(add), capabilityNames(drop)
	for _, name := range add {
		if name != "ALL" && !slices.Contains(all, name) {
			return nil, fmt.Errorf("capability %s: not known to this kernel, or not allowed to the engine itself: %w", name, errdefs.ErrInvalidArgument)
		}
	}
	var set []string
	switch {
	case slices.Contains(add, "ALL"):
		set = slices.Clone(all)
	case !slices.Contains(drop, "ALL"):
		set = slices.DeleteFunc(slices.Clone(defaultCapabilities), func(c string) bool { return !slices.Contains(all, c) })
	}
	set = slices.DeleteFunc(set, func(c string) bool { return slices.Contains(drop, c) })
	set = append(set, slices.DeleteFunc(add, func(c string) bool { return c == "ALL" })...)
	slices.Sort(set)
	return slices.Compact(set), nil
}

func capabilityNames(in []string) []string {
	out := make([]string, len(in))
	for i, name := range in {
		name = strings.ToUpper(name)
		if name != "ALL" && !strings.HasPrefix(name, "CAP_") {
			name = "CAP_" + name
		}
		out[i] = name
	}
	return out
}

// capabilitySets gives a user other than root its capabilities only as a bound,
// as the kernel would when it leaves root.
func capabilitySets(names []string, uid uint32) *specs.LinuxCapabilities {
	sets := &specs.LinuxCapabilities{Bounding: names}
	if uid == 0 {
		sets.Effective, sets.Permitted = names, names
	}
	return sets
}

// process returns the main process.
func process(c Config) (*specs.Process, error) {
	capabilities, err := Capabilities(c.AllCapabilities, c.Sandbox.CapabilitiesAdd, c.Sandbox.CapabilitiesDrop)
	if err != nil {
		return nil, err
	}
	p := c.Sandbox.Process
	out := base(p, c.User, capabilities)
	out.Rlimits = rlimits(c.OpenFiles)
	out.Env = Environment(p, c.Sandbox.Hostname, c.User)
	if c.Sandbox.Init {
		out.Args = append([]string{initTarget, "init", "--"}, p.Args...)
	}
	return out, nil
}

func base(p resource.Process, u User, capabilities []string) *specs.Process {
	return &specs.Process{
		Terminal:     p.Terminal,
		User:         specs.User{UID: u.UID, GID: u.GID, AdditionalGids: u.Additional},
		Args:         p.Args,
		Env:          p.Env,
		Cwd:          cmp.Or(p.WorkingDirectory, "/"),
		Capabilities: capabilitySets(capabilities, u.UID),
		// Not the helper's own: it may be protected.
		OOMScoreAdj: new(int),
	}
}

// rlimits are those that systemd recommends: programs that use select(2) are
// safe, others may raise theirs. most is what the engine itself may have.
func rlimits(most uint64) []specs.POSIXRlimit {
	hard := min(524288, most)
	return []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: min(1024, hard), Hard: hard}}
}

// Environment returns a process's environment: the defaults, then what it says
// itself, one entry for each key, then HOME where nobody has said it.
func Environment(p resource.Process, hostname string, u User) []string {
	env := []string{defaultPath, "HOSTNAME=" + hostname}
	if p.Terminal {
		env = append(env, "TERM=xterm")
	}
	env = Merge(env, p.Env)
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) {
		env = append(env, "HOME="+cmp.Or(u.Home, "/"))
	}
	return env
}

// Merge returns base with the entries of more, which replace those of the same
// key in their place.
func Merge(base, more []string) []string {
	out := slices.Clone(base)
	for _, entry := range more {
		key, _, _ := strings.Cut(entry, "=")
		i := slices.IndexFunc(out, func(e string) bool { return strings.HasPrefix(e, key+"=") })
		if i < 0 {
			out = append(out, entry)
		} else {
			out[i] = entry
		}
	}
	return out
}

// Exec returns a further process of a container: what p leaves out, and the
// environment that it does not replace, are those of the main process. A
// privileged one gets all capabilities.
func Exec(main *specs.Process, p resource.Process, u User, privileged bool, all []string) *specs.Process {
	capabilities := main.Capabilities.Bounding
	if privileged {
		capabilities = all
	}
	out := base(p, u, capabilities)
	out.Rlimits = main.Rlimits
	out.Cwd = cmp.Or(p.WorkingDirectory, main.Cwd)
	env := slices.DeleteFunc(slices.Clone(main.Env), func(e string) bool { return strings.HasPrefix(e, "HOME=") })
	if p.Terminal {
		env = Merge([]string{"TERM=xterm"}, env)
	}
	out.Env = Merge(append(env, "HOME="+cmp.Or(u.Home, "/")), p.Env)
	return out
}
