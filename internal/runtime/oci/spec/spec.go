package spec

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"patchbay.dev/patchbay/resource"
)

// version is what Debian's crun and runc understand.
const version = "1.0.2"

// cpuPeriod is the period of the processor quota in microseconds, the kernel's
// default.
const cpuPeriod = 100_000

// New returns the specification of a container. A capability that is not known
// is errdefs.ErrInvalidArgument.
func New(c Config) (*specs.Spec, error) {
	p, err := process(c)
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version:  version,
		Process:  p,
		Root:     &specs.Root{Path: c.RootDirectory, Readonly: c.Sandbox.RootFilesystem.ReadOnly},
		Hostname: c.Sandbox.Hostname,
		Mounts:   mounts(c),
		Linux:    linux(c),
	}
	if s.Linux.Seccomp, err = seccomp.GetDefaultProfile(s); err != nil {
		return nil, err
	}
	return s, nil
}

func linux(c Config) *specs.Linux {
	namespaces := []specs.LinuxNamespace{
		{Type: specs.MountNamespace},
		{Type: specs.PIDNamespace},
		{Type: specs.UTSNamespace},
		{Type: specs.IPCNamespace},
		{Type: specs.NetworkNamespace, Path: c.NetworkNamespace},
	}
	if c.CgroupV2 {
		namespaces = append(namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	return &specs.Linux{
		Namespaces:  namespaces,
		CgroupsPath: c.CgroupPath,
		Resources:   resources(c.Sandbox.Resources),
		Sysctl: map[string]string{
			// Nothing outside of the container is at stake.
			"net.ipv4.ip_unprivileged_port_start": "0",
			"net.ipv4.ping_group_range":           "0 2147483647",
		},
		MaskedPaths: []string{
			"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
			"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
			"/sys/devices/virtual/powercap", "/sys/firmware",
		},
		ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
	}
}

func resources(r resource.Resources) *specs.LinuxResources {
	out := &specs.LinuxResources{
		// Runtimes add the devices that every container has.
		Devices: []specs.LinuxDeviceCgroup{
			{Allow: false, Access: "rwm"},
			{Allow: true, Type: "c", Access: "m"},
			{Allow: true, Type: "b", Access: "m"},
		},
	}
	if r.MemoryBytes > 0 {
		out.Memory = &specs.LinuxMemory{Limit: &r.MemoryBytes}
	}
	if r.NanoCPUs > 0 {
		quota, period := r.NanoCPUs*cpuPeriod/1e9, uint64(cpuPeriod)
		quota = max(quota, 1000) // the kernel's least
		out.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period}
	}
	if r.PIDs > 0 {
		out.Pids = &specs.LinuxPids{Limit: &r.PIDs}
	}
	return out
}

// mounts returns all mounts in the order in which they are made: parents before
// what lies below them. A mount of the user's replaces one of ours at the same
// place.
func mounts(c Config) []specs.Mount {
	own := defaultMounts(c)
	var rest []specs.Mount
	for target, source := range c.Files {
		rest = append(rest, specs.Mount{Destination: target, Type: "bind", Source: source, Options: []string{"bind", "rprivate"}})
	}
	if c.Sandbox.Init {
		rest = append(rest, specs.Mount{Destination: initTarget, Type: "bind", Source: c.InitBinary, Options: []string{"bind", "ro", "nosuid", "nodev"}})
	}
	slices.SortFunc(rest, func(a, b specs.Mount) int { return strings.Compare(a.Destination, b.Destination) })
	users := make(map[string]bool)
	for _, m := range c.Sandbox.Mounts {
		users[path.Clean(m.Target)] = true
	}
	replaced := func(m specs.Mount) bool { return users[m.Destination] }
	own, rest = slices.DeleteFunc(own, replaced), slices.DeleteFunc(rest, replaced)
	for _, m := range c.Sandbox.Mounts {
		rest = append(rest, userMount(m))
	}
	slices.SortStableFunc(rest, func(a, b specs.Mount) int { return depth(a.Destination) - depth(b.Destination) })
	return append(own, rest...)
}

func depth(target string) int { return strings.Count(target, "/") }

func defaultMounts(c Config) []specs.Mount {
	out := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
	}
	return out
}

// userMount completes the options of a mount: read-only or not, for binds the
// whole tree, and private where no propagation is asked for.
func userMount(m resource.Mount) specs.Mount {
	out := specs.Mount{Destination: path.Clean(m.Target), Source: m.Source, Options: slices.Clone(m.Options)}
	out.Options = slices.DeleteFunc(out.Options, func(o string) bool { return o == "nocopy" }) // said of its content
	if m.Type == resource.MountTmpfs {
		out.Type, out.Source = "tmpfs", "tmpfs"
		out.Options = append([]string{"nosuid", "nodev", "noexec"}, out.Options...)
		if !hasPrefix(m.Options, "mode=") {
			out.Options = append(out.Options, "mode=1777")
		}
	} else {
		out.Type = "bind"
		if !slices.Contains(m.Options, "bind") && !slices.Contains(m.Options, "rbind") {
			out.Options = append(out.Options, "rbind")
		}
		if !slices.ContainsFunc(m.Options, isPropagation) {
			out.Options = append(out.Options, "rprivate")
		}
	}
	if m.ReadOnly {
		out.Options = slices.DeleteFunc(out.Options, func(o string) bool { return o == "rw" })
		out.Options = append(out.Options, "ro")
	}
	return out
}

func hasPrefix(options []string, prefix string) bool {
	return slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, prefix) })
}

func isPropagation(option string) bool {
	switch cmp.Or(strings.TrimPrefix(option, "r"), option) {
	case "private", "slave", "shared", "unbindable":
		return true
	}
	return false
}
