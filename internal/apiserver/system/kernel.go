package system

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

// kernelTimeout bounds what a runtime may take to set a kernel; it may have to
// download one.
const kernelTimeout = 5 * time.Minute

// SetKernel chooses the kernel that virtual machines boot from now on: an image by
// its absolute path, with the directory of its modules ("": that of its release),
// or the distribution's own where image is empty. What a guest cannot do with is
// errdefs.ErrFailedPrecondition and changes nothing.
func (s *Service) SetKernel(ctx context.Context, image, modules string) (resource.Kernel, error) {
	s.settingKernel.Lock()
	defer s.settingKernel.Unlock()
	for name, path := range map[string]string{"kernel": image, "modules": modules} {
		if path != "" && !filepath.IsAbs(path) {
			return resource.Kernel{}, fmt.Errorf("%s %q: want an absolute path: %w", name, path, errdefs.ErrInvalidArgument)
		}
	}
	args := []string{"kernel", "set", "--debian"}
	if image != "" {
		args = []string{"kernel", "set", image}
	}
	if modules != "" {
		args = append(args, modules)
	}
	return s.kernelVerb(ctx, args...)
}

// Kernel returns the kernel that virtual machines boot; errdefs.ErrFailedPrecondition
// where none is set.
func (s *Service) Kernel(ctx context.Context) (resource.Kernel, error) {
	return s.kernelVerb(ctx, "kernel", "status")
}

// kernelVerb asks the runtime that boots kernels.
func (s *Service) kernelVerb(ctx context.Context, args ...string) (resource.Kernel, error) {
	runtime, err := s.kernelRuntime()
	if err != nil {
		return resource.Kernel{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, kernelTimeout)
	defer cancel()
	out, err := helper.Run(ctx, helper.Verb{
		Binary: runtime.Binary, Name: "patchbay-runtime-" + runtime.Name, Args: args,
		Environment: s.runtimeEnvironment(),
	})
	if err != nil {
		return resource.Kernel{}, err
	}
	var answer struct {
		Kernel resource.Kernel `json:"kernel"`
		Fault  string          `json:"fault"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return resource.Kernel{}, fmt.Errorf("runtime %s: %s says %q: %w: %w", runtime.Name, args, out, err, errdefs.ErrInternal)
	}
	if answer.Fault != "" {
		return resource.Kernel{}, fmt.Errorf("%s: %w", answer.Fault, errdefs.ErrFailedPrecondition)
	}
	return answer.Kernel, nil
}

// runtimeEnvironment is what programs of runtimes get that look after no sandbox.
func (s *Service) runtimeEnvironment() []string {
	return append([]string{
		"PATCHBAY_CACHE_DIR=" + s.config.Roots.Cache(),
		"PATCHBAY_KERNEL_DIR=" + s.config.Roots.Kernel(),
	}, s.config.RuntimeEnvironment...)
}

// kernelRuntime is the first runtime that boots a kernel.
func (s *Service) kernelRuntime() (manifest.Plugin, error) {
	all, err := s.config.Plugins.List()
	if err != nil {
		return manifest.Plugin{}, err
	}
	for _, plugin := range all {
		if plugin.Kind != resource.PluginRuntime || plugin.Fault != "" {
			continue
		}
		if found, err := s.config.Plugins.Runtime(plugin.Name); err == nil && found.Kernel {
			return found, nil
		}
	}
	return manifest.Plugin{}, fmt.Errorf("no runtime here boots a kernel: install the plugin vm: %w", errdefs.ErrFailedPrecondition)
}
