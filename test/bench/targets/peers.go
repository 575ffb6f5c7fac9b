package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"patchbay.dev/patchbay/test/bench/attach"
	"patchbay.dev/patchbay/test/bench/engine"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/host"
)

// Where Debian has what is not on the path.
var (
	cniPlugins       = []string{"/usr/lib/cni", "/usr/libexec/cni"}
	netavarkPrograms = []string{"/usr/lib/podman/netavark", "/usr/libexec/podman/netavark"}
)

// candidate is one that may be measured beside Patchbay.
type candidate struct {
	peer  string // that has to be wanted; "": always
	name  string
	needs []string // programs
	make  func(b *bench, at *host.Host) any
}

var candidates = []candidate{
	{"", goal.Crun, []string{"crun"}, func(b *bench, at *host.Host) any {
		return engine.Crun{At: at, Bundle: b.bundle}
	}},
	{"podman", goal.Podman, []string{"podman", "crun", "iptables"}, func(b *bench, at *host.Host) any {
		return &engine.Podman{Place: b.place("podman"), At: at}
	}},
	{"podman", engine.HeldPodman, []string{"podman", "crun", "iptables"}, func(b *bench, at *host.Host) any {
		return &engine.Podman{Place: b.place("podman-held"), At: at, Held: true}
	}},
	{"docker", goal.Docker, []string{"dockerd", "containerd", "runc", "iptables"}, func(b *bench, at *host.Host) any {
		return &engine.Docker{Place: b.place("docker"), At: at}
	}},
	{"ctr", "ctr + CNI", []string{"containerd", "ctr", "runc", "iptables"}, func(b *bench, at *host.Host) any {
		return &engine.Ctr{Place: b.place("ctr"), At: at, Plugins: existing(cniPlugins)}
	}},
	{"netavark", goal.Netavark, []string{"iptables"}, func(b *bench, at *host.Host) any {
		return &attach.Netavark{At: at, Directory: filepath.Join(b.work, "netavark"), Program: existing(netavarkPrograms)}
	}},
	{"cni", goal.CNI, []string{"iptables"}, func(b *bench, at *host.Host) any {
		return &attach.CNI{At: at, Directory: filepath.Join(b.work, "cni"), Plugins: existing(cniPlugins)}
	}},
}

func (b *bench) place(name string) engine.Place {
	return engine.Place{Directory: filepath.Join(b.work, name), Rootfs: b.rootfs, Cgroup: b.cgroup}
}

// existing is the first path that is there; without any the first of all, of which
// the error then speaks.
func existing(paths []string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return paths[0]
}

// invite makes all candidates ready that are wanted, each on a host of its own.
func (b *bench) invite(ctx context.Context) {
	for _, c := range candidates {
		if c.peer != "" && !slices.Contains(b.peers, c.peer) {
			b.faults = append(b.faults, fault(c.name, fmt.Errorf("not wanted in this run")))
			continue
		}
		if err := b.prepare(ctx, c); err != nil {
			b.say("left out: %s: %v", c.name, err)
			b.faults = append(b.faults, fault(c.name, err))
		}
	}
}

func (b *bench) prepare(ctx context.Context, c candidate) error {
	for _, program := range c.needs {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed", program)
		}
	}
	at, err := host.New(ctx, c.name)
	if err != nil {
		return err
	}
	b.hosts = append(b.hosts, at)
	switch peer := c.make(b, at).(type) {
	case engine.Engine:
		return b.up(ctx, peer)
	case attach.Tool:
		return b.upTool(ctx, peer)
	default:
		return fmt.Errorf("%T: is neither an engine nor a tool", peer)
	}
}
