package system

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/resource"
)

// checkTimeout bounds what one runtime may take to look at the host.
const checkTimeout = 10 * time.Second

// checks remembers what runtimes found out about the host: it does not change
// while the server runs, unless a program is installed.
type checks struct {
	mu    sync.Mutex
	known map[string][]resource.HostCheck // by binary; guarded by mu
}

// of returns the checks of all runtimes that are fit for use.
func (c *checks) of(ctx context.Context, p Plugins, environment []string) []resource.HostCheck {
	all, err := p.List()
	if err != nil {
		return []resource.HostCheck{fault("plugins", "%v", err)}
	}
	var out []resource.HostCheck
	for _, plugin := range all {
		if plugin.Fault != "" {
			out = append(out, fault("plugin "+plugin.Name, "%s", strings.ReplaceAll(plugin.Fault, "\n", "; ")))
		}
		if plugin.Kind != resource.PluginRuntime || plugin.Fault != "" {
			continue
		}
		found, err := p.Runtime(plugin.Name)
		if err != nil {
			continue // it has just been removed
		}
		out = append(out, c.ofRuntime(ctx, plugin.Name, helper.Verb{
			Binary: found.Binary, Name: "patchbay-runtime-" + plugin.Name, Args: []string{"check"}, Environment: environment,
		})...)
	}
	return out
}

// ofRuntime asks once; a failure is not remembered.
func (c *checks) ofRuntime(ctx context.Context, name string, check helper.Verb) []resource.HostCheck {
	c.mu.Lock()
	known, ok := c.known[check.Binary]
	c.mu.Unlock()
	if ok {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	out, err := helper.Run(ctx, check)
	if err != nil {
		return []resource.HostCheck{fault("runtime "+name, "%v", err)}
	}
	var answer struct {
		Checks []resource.HostCheck `json:"checks"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return []resource.HostCheck{fault("runtime "+name, "its check says %q: %v", out, err)}
	}
	for _, found := range answer.Checks {
		if !found.OK {
			return answer.Checks // it may be mended while the server runs
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[string][]resource.HostCheck{}
	}
	c.known[check.Binary] = answer.Checks
	return answer.Checks
}

// silentPlugins returns a fault for each network whose plugin does not answer.
func silentPlugins(all []*snapshot.Of[resource.Network]) (out []resource.HostCheck) {
	for _, n := range all {
		if s := n.Value.Status; s.State == resource.NetworkDegraded && s.Message == resource.PluginSilent {
			out = append(out, fault("network "+n.Value.Name, "%s (process %d): \"patchbay plugin restart --network %s\" starts it anew", s.Message, s.PluginPID, n.Value.Name))
		}
	}
	return out
}

// silentRuntimes returns a fault for each container whose runtime helper does not answer.
func silentRuntimes(ctx context.Context, containers Containers) (out []resource.HostCheck) {
	all, err := containers.List(ctx, false)
	if err != nil {
		return []resource.HostCheck{fault("containers", "%v", err)}
	}
	for _, c := range all {
		if s := c.Value.Status; s.Message == resource.HelperSilent {
			out = append(out, fault("container "+c.Value.Name, "%s (process %d): \"patchbay kill %s\" ends both", s.Message, s.HelperPID, c.Value.Name))
		}
	}
	return out
}
