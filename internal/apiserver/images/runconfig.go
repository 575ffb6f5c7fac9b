package images

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/sys/signal"

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

// validateRun reports every fault of what a user asks an imported image to
// have.
func validateRun(c resource.ImageRunConfiguration) error {
	var errs []error
	for _, e := range c.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			errs = append(errs, fmt.Errorf("environment %q: want NAME=VALUE", e))
		}
	}
	if w := c.WorkingDirectory; w != "" && !path.IsAbs(w) {
		errs = append(errs, fmt.Errorf("working directory %q: want an absolute path", w))
	}
	for _, v := range c.Volumes {
		if !path.IsAbs(v) {
			errs = append(errs, fmt.Errorf("volume %q: want an absolute path", v))
		}
	}
	if c.StopSignal != "" {
		if _, err := signal.ParseSignal(c.StopSignal); err != nil {
			errs = append(errs, fmt.Errorf("stop signal %q: want the name or number of a signal", c.StopSignal))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", errors.Join(errs...), errdefs.ErrInvalidArgument)
}

// imageConfig makes the "config" object of an image.
func imageConfig(c resource.ImageRunConfiguration) v1.Config {
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
