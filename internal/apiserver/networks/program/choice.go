package program

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

// Plugins finds network plugins, as they are installed now.
type Plugins interface {
	// Network returns the plugin of a name; errdefs.ErrNotFound names what there
	// is.
	Network(name string) (manifest.Plugin, error)
}

// Strategy returns the strategy of a plugin's variant; errdefs.ErrNotFound names the
// variants that there are.
func Strategy(plugin manifest.Plugin, variant string) (string, error) {
	strategy, ok := plugin.Strategy(variant)
	if ok {
		return strategy, nil
	}
	names := make([]string, len(plugin.Variants))
	for i, v := range plugin.Variants {
		names[i] = v.Name
	}
	return "", fmt.Errorf("plugin variant %q: plugin %s has %s: %w", variant, plugin.Name, strings.Join(names, ", "), errdefs.ErrNotFound)
}

// Complete fills in the plugin and variant of a network where preset has them, and reports
// at once all that is wrong with what a user asked for.
func Complete(c resource.NetworkConfiguration, preset resource.PluginInfo, plugins Plugins) (resource.NetworkConfiguration, error) {
	if c.Plugin.Plugin == "" {
		c.Plugin.Plugin = preset.Plugin
		if c.Plugin.Variant == "" {
			c.Plugin.Variant = preset.Variant
		}
	}
	faults := []error{c.Validate()}
	if resource.ValidateName("plugin", c.Plugin.Plugin) == nil {
		plugin, err := plugins.Network(c.Plugin.Plugin)
		if err == nil && c.Plugin.Variant == "" {
			c.Plugin.Variant = plugin.DefaultVariant
		}
		if err == nil {
			_, err = Strategy(plugin, c.Plugin.Variant)
		}
		faults = append(faults, err)
	}
	return c, errors.Join(faults...)
}
