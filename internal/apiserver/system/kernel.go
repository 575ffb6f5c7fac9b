package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/internal/manifest"
	"patchbay.dev/patchbay/resource"
)

// kernelTimeout bounds what a runtime may take to set a kernel; it may have to
// download one.
const kernelTimeout = 5 * time.Minute

// SetKernel chooses the kernel that virtual machines boot from now on, and tries what
// executes it: an image by
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
	if a, err := s.kernelVerb(ctx, nil, args...); err != nil {
		return a.Kernel, err
	}
	a, err := s.kernelVerb(ctx, nil, "kernel", "try")
	return a.Kernel, err
}

// TryKernel finds out, beside all else, what executes virtual machines, so that those
// to come need not wait for that. It is called once; Close ends it.
func (s *Service) TryKernel() {
	if _, err := os.Stat(s.config.Roots.Kernel()); err != nil {
		return // none is set
	}
	s.running.Go(func() {
		a, err := s.kernelVerb(s.life, nil, "kernel", "try")
		switch {
		case s.life.Err() != nil:
		case err != nil:
			s.config.Log.Warn("what executes virtual machines is not known", "error", err)
		default:
			s.config.Log.Info("virtual machines", "accelerator", a.Kernel.Accelerator.String())
		}
	})
}

// Close ends what goes on beside calls.
func (s *Service) Close() {
	s.end()
	s.running.Wait()
}

// Kernel returns the kernel that virtual machines boot, with the machines that were
// saved; errdefs.ErrFailedPrecondition where none is set.
func (s *Service) Kernel(ctx context.Context) (resource.Kernel, error) {
	a, err := s.kernelVerb(ctx, nil, "kernel", "status")
	a.Kernel.Templates = a.Templates
	return a.Kernel, err
}

// WarmKernel boots a virtual machine of a size, 0 for the usual, and keeps it for
// others to go on from, unless there is one. It tells its steps.
func (s *Service) WarmKernel(ctx context.Context, memoryBytes, nanoCPUs int64, step func(string)) (resource.KernelTemplate, error) {
	if memoryBytes < 0 || nanoCPUs < 0 {
		return resource.KernelTemplate{}, fmt.Errorf("memory %d, processors %d: want more than 0: %w", memoryBytes, nanoCPUs, errdefs.ErrInvalidArgument)
	}
	a, err := s.kernelVerb(ctx, step, "kernel", "warm", strconv.FormatInt(memoryBytes, 10), strconv.FormatInt(nanoCPUs, 10))
	if err != nil {
		return resource.KernelTemplate{}, err
	}
	if len(a.Templates) != 1 {
		return resource.KernelTemplate{}, fmt.Errorf("kernel warm: the runtime tells of %d templates, want 1: %w", len(a.Templates), errdefs.ErrInternal)
	}
	return a.Templates[0], nil
}

// kernelAnswer is a line of what a runtime says to a verb of its kernel: a step, or
// at the end all else.
type kernelAnswer struct {
	Step      string                    `json:"step"`
	Kernel    resource.Kernel           `json:"kernel"`
	Templates []resource.KernelTemplate `json:"templates"`
	Fault     string                    `json:"fault"`
}

// kernelVerb asks the runtime that boots kernels.
func (s *Service) kernelVerb(ctx context.Context, step func(string), args ...string) (a kernelAnswer, err error) {
	runtime, err := s.kernelRuntime()
	if err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, kernelTimeout)
	defer cancel()
	var fault error
	err = helper.RunLines(ctx, helper.Verb{
		Binary: runtime.Binary, Name: "patchbay-runtime-" + runtime.Name, Args: args,
		Environment: s.runtimeEnvironment(),
		Isolate:     args[1] == "try" || args[1] == "warm", // they boot machines
	}, func(line []byte) {
		if err := json.Unmarshal(line, &a); err != nil {
			fault = fmt.Errorf("runtime %s: %s says %q: %w: %w", runtime.Name, args, line, err, errdefs.ErrInternal)
		} else if a.Step != "" && step != nil {
			step(a.Step)
		}
		a.Step = ""
	})
	if err != nil || fault != nil {
		return a, errors.Join(err, fault)
	}
	if a.Fault != "" {
		return a, fmt.Errorf("%s: %w", a.Fault, errdefs.ErrFailedPrecondition)
	}
	return a, nil
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
