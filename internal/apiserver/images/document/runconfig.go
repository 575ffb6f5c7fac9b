package document

import (
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"patchbay.dev/patchbay/resource"
)

// runConfiguration reads the "config" object of an image.
func runConfiguration(c v1.Config) resource.ImageRunConfiguration {
	return resource.ImageRunConfiguration{
		User:             c.User,
		ExposedPorts:     slices.Sorted(maps.Keys(c.ExposedPorts)),
		Env:              c.Env,
		Entrypoint:       c.Entrypoint,
		Cmd:              c.Cmd,
		Volumes:          slices.Sorted(maps.Keys(c.Volumes)),
		WorkingDirectory: c.WorkingDir,
		Labels:           c.Labels,
		StopSignal:       c.StopSignal,
	}
}

// ImageConfig makes the "config" object of an image.
func ImageConfig(c resource.ImageRunConfiguration) v1.Config {
	return v1.Config{
		User:         c.User,
		ExposedPorts: set(c.ExposedPorts),
		Env:          c.Env,
		Entrypoint:   c.Entrypoint,
		Cmd:          c.Cmd,
		Volumes:      set(c.Volumes),
		WorkingDir:   c.WorkingDirectory,
		Labels:       c.Labels,
		StopSignal:   c.StopSignal,
	}
}

func set(list []string) map[string]struct{} {
	if len(list) == 0 {
		return nil
	}
	m := make(map[string]struct{}, len(list))
	for _, v := range list {
		m[v] = struct{}{}
	}
	return m
}
