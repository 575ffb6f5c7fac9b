// Package blueprint turns what a user asks of a container into its full
// configuration: completed from the image, checked against the host.
package blueprint

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/hostport"
	"patchbay.dev/patchbay/resource"
)

// defaultStopSignal is sent where neither the user nor the image says which.
const defaultStopSignal = "SIGTERM"

// Merge completes what a user asked for from the image, as the OCI image spec
// (config.md) says and other engines do:
//
//   - an entrypoint of the user's, or the wish for none, drops the image's
//     entrypoint and its command; a command of the user's drops the image's;
//   - variables are merged by name, the user's win;
//   - each volume of the image becomes an anonymous volume, unless something
//     else is mounted there.
//
// It is errdefs.ErrInvalidArgument when there is no command then.
func Merge(t resource.ContainerTemplate, id string, image resource.Image) (resource.ContainerConfiguration, error) {
	run := image.Configuration.Run
	c := resource.ContainerConfiguration{
		Image:       t.Image,
		ImageDigest: image.Configuration.Digest,
		Hostname:    cmp.Or(t.Hostname, id[:12]),
		Process: resource.Process{
			Args:             arguments(t, run),
			Env:              MergeEnv(run.Env, t.Env),
			WorkingDirectory: cmp.Or(t.WorkingDirectory, run.WorkingDirectory),
			User:             cmp.Or(t.User, run.User),
			Terminal:         t.Terminal,
			Stdin:            t.Stdin,
		},
		Mounts:           mergeMounts(t.Mounts, run.Volumes),
		Networks:         resource.NamedInterfaces(t.Networks),
		DNS:              t.DNS,
		ExtraHosts:       t.ExtraHosts,
		Ports:            ports(t, run),
		Resources:        t.Resources,
		CapabilitiesAdd:  capabilityNames(t.CapabilitiesAdd),
		CapabilitiesDrop: capabilityNames(t.CapabilitiesDrop),
		ReadOnly:         t.ReadOnly,
		Init:             t.Init,
		AutoRemove:       t.AutoRemove,
		Runtime:          t.Runtime,
		StopSignal:       cmp.Or(t.StopSignal, run.StopSignal, defaultStopSignal),
		StopTimeout:      resource.DefaultStopTimeout,
		Log:              t.Log,
	}
	if t.StopTimeout != nil {
		c.StopTimeout = *t.StopTimeout
	}
	var faults []error
	if len(c.Process.Args) == 0 {
		faults = append(faults, fault.New(errdefs.ErrInvalidArgument, "command: image %s has none, want one after the image", t.Image))
	}
	if c.Process.WorkingDirectory != "" && !path.IsAbs(c.Process.WorkingDirectory) {
		c.Process.WorkingDirectory = "/" + c.Process.WorkingDirectory // an old image; the spec wants it absolute
	}
	number, err := ParseSignal(c.StopSignal)
	if err != nil {
		faults = append(faults, fmt.Errorf("stop %w", err))
	}
	c.StopSignal = signalName(number, c.StopSignal)
	return c, errors.Join(faults...)
}

// ports are those of the user and, if wished, those that the image exposes.
func ports(t resource.ContainerTemplate, run resource.ImageRunConfiguration) []resource.PublishedPort {
	if !t.PublishAll {
		return t.Ports
	}
	return hostport.MergeExposed(t.Ports, run.ExposedPorts)
}

func arguments(t resource.ContainerTemplate, run resource.ImageRunConfiguration) []string {
	if len(t.Entrypoint) > 0 || t.ClearEntrypoint {
		return slices.Concat(t.Entrypoint, t.Command)
	}
	if len(t.Command) > 0 {
		return slices.Concat(run.Entrypoint, t.Command)
	}
	return slices.Concat(run.Entrypoint, run.Cmd)
}

// MergeEnv returns the variables of base in their order with those of over in
// place of the same names, then the new ones.
func MergeEnv(base, over []string) []string {
	var out []string
	place := map[string]int{}
	for _, v := range slices.Concat(base, over) {
		key, _, _ := strings.Cut(v, "=")
		if i, ok := place[key]; ok {
			out[i] = v
			continue
		}
		place[key] = len(out)
		out = append(out, v)
	}
	return out
}

func mergeMounts(mounts []resource.Mount, volumes []string) []resource.Mount {
	out := make([]resource.Mount, 0, len(mounts)+len(volumes))
	targets := map[string]bool{"/": true}
	for _, m := range mounts {
		m.Target = path.Clean(m.Target)
		targets[m.Target] = true
		out = append(out, m)
	}
	for _, v := range slices.Sorted(slices.Values(volumes)) {
		target := path.Clean("/" + v)
		if targets[target] {
			continue
		}
		targets[target] = true
		out = append(out, resource.Mount{Type: resource.MountVolume, Target: target})
	}
	return out
}

// MergeLabels returns the labels of a container: the image's and the user's,
// which win.
func MergeLabels(image, user map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, image)
	maps.Copy(out, user)
	return out
}
