// Package program chooses the plugins of networks and starts their processes.
package program

import (
	"fmt"
	"os"
	"path/filepath"

	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource"
)

// Start starts the process of a network from its plugin's binary.
func Start(roots layout.Roots, network string, plugin manifest.Plugin) (*helper.Process, error) {
	state := filepath.Join(roots.Network(network), "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("plugin %s: %w", plugin.Name, err)
	}
	return helper.Start(helper.Config{
		Directory:  roots.Network(network),
		Socket:     roots.PluginSocket(network),
		Binary:     plugin.Binary,
		Name:       "patchbay-network-" + plugin.Name,
		Processors: plugin.Processors,
		Environment: []string{
			"PATCHBAY_NETWORK_ID=" + network,
			"PATCHBAY_STATE_DIR=" + state,
			layout.RunRootVariable + "=" + roots.RunRoot,
			trace.SocketVariable + "=" + roots.TraceSocket(),
		},
	})
}

// Codec returns the form of messages that the manifest beside the program of a
// helper in directory names.
func Codec(directory string) (resource.Codec, error) {
	binary, err := helper.Binary(directory)
	if err != nil {
		return "", err
	}
	return manifest.Read(filepath.Dir(filepath.Dir(binary))).Codec, nil
}
