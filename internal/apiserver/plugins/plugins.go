// Package plugins tells which plugins there are. It reads the plugin directories
// on every call, so that a new plugin can be used at once.
package plugins

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

// Instances tells which helpers run: of each plugin by name.
type Instances interface {
	Instances() map[string][]resource.PluginInstance
}

// Networks replaces the processes of network plugins.
type Networks interface {
	// Restart replaces that of one network, RestartPlugin those of all networks of
	// a plugin. They return when the networks serve again.
	Restart(ctx context.Context, network string) (resource.PluginInstance, error)
	RestartPlugin(ctx context.Context, plugin string) ([]resource.PluginInstance, error)
}

// Service finds plugins. It is safe for concurrent use.
type Service struct {
	directories []string
	instances   []Instances
	networks    Networks
}

// Config is what a Service needs.
type Config struct {
	// Directories in the order of the search; the first plugin of a name is
	// used.
	Directories []string
}

// New returns a service.
func New(c Config) *Service { return &Service{directories: c.Directories} }

// Show adds what is running to what List and Get return. It is called before
// them.
func (s *Service) Show(instances ...Instances) { s.instances = append(s.instances, instances...) }

// Serve says by whom processes are replaced. It is called before Restart.
func (s *Service) Serve(n Networks) { s.networks = n }

// Restart replaces the processes of a network plugin, or that of one network, by
// such of the program that is installed now. It refuses plugins that are not fit
// for use, before anything is touched.
func (s *Service) Restart(ctx context.Context, name, network string) ([]resource.PluginInstance, error) {
	switch {
	case (name == "") == (network == ""):
		return nil, fmt.Errorf("restart: want the name of a plugin or of a network: %w", errdefs.ErrInvalidArgument)
	case network != "":
		restarted, err := s.networks.Restart(ctx, network)
		if err != nil {
			return nil, err
		}
		return []resource.PluginInstance{restarted}, nil
	}
	p, err := s.Get(name)
	if err == nil && p.Kind == resource.PluginRuntime {
		err = fmt.Errorf("plugin %s: is a runtime, whose processes are those of containers: restart these: %w", name, errdefs.ErrFailedPrecondition)
	}
	if err == nil && p.Fault != "" {
		err = fmt.Errorf("plugin %s: %s: %w", name, p.Fault, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return nil, err
	}
	return s.networks.RestartPlugin(ctx, name)
}

// Directories returns the plugin directories in the order of the search.
func (s *Service) Directories() []string { return slices.Clone(s.directories) }

// Network returns the network plugin of a name; errdefs.ErrNotFound names what
// there is, errdefs.ErrFailedPrecondition what keeps it from use.
func (s *Service) Network(name string) (manifest.Plugin, error) {
	return manifest.Find(s.directories, resource.PluginNetwork, name)
}

// Runtime returns the runtime plugin of a name, as Network does.
func (s *Service) Runtime(name string) (manifest.Plugin, error) {
	return manifest.Find(s.directories, resource.PluginRuntime, name)
}

// List returns all plugins by name, also those with a fault.
func (s *Service) List() ([]resource.Plugin, error) {
	found, err := manifest.Scan(s.directories)
	if err != nil {
		return nil, err
	}
	running := map[string][]resource.PluginInstance{}
	for _, i := range s.instances {
		for name, instances := range i.Instances() {
			running[name] = append(running[name], instances...)
		}
	}
	out := make([]resource.Plugin, len(found))
	for i, p := range found {
		out[i] = p.Plugin
		out[i].Instances = running[p.Name]
		slices.SortFunc(out[i].Instances, func(a, b resource.PluginInstance) int { return cmp.Compare(a.Resource, b.Resource) })
	}
	return out, nil
}

// Get returns the plugin of a name, also one with a fault.
func (s *Service) Get(name string) (resource.Plugin, error) {
	all, err := s.List()
	if err != nil {
		return resource.Plugin{}, err
	}
	names := make([]string, len(all))
	for i, p := range all {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	there := "one in " + strings.Join(s.directories, ", ")
	if len(names) > 0 {
		there = "one of " + strings.Join(names, ", ")
	}
	return resource.Plugin{}, fmt.Errorf("plugin %q: not found, want %s: %w", name, there, errdefs.ErrNotFound)
}
