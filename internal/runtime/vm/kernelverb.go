package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/runtime/outer"
	"patchbay.dev/patchbay/internal/runtime/vm/bare"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/runtime/vm/template"
	"patchbay.dev/patchbay/resource"
)

// kernelAnswer is a line of what the verbs of the kernel tell the daemon: a step that
// begins, or at the end all else.
type kernelAnswer struct {
	Step      string                    `json:"step,omitempty"`
	Kernel    kernel.Kernel             `json:"kernel"`
	Templates []resource.KernelTemplate `json:"templates"`
	Fault     string                    `json:"fault,omitempty"` // in words for the user, why there is no answer
}

func templateOf(t template.Info) resource.KernelTemplate {
	return resource.KernelTemplate{
		MemoryBytes: t.Key.MemoryBytes, Processors: t.Key.CPUs, Accelerator: t.Key.Accelerator,
		BuiltAt: t.BuiltAt, UsedAt: t.UsedAt, Uses: t.Uses, DiskBytes: t.Bytes,
	}
}

func answer(out io.Writer, a kernelAnswer, err error) error {
	if err != nil {
		a.Fault = err.Error()
	}
	return json.NewEncoder(out).Encode(a)
}

// kernelStatus tells the kernel and the templates.
func kernelStatus(out io.Writer, s bare.Source) error {
	k, err := kernel.Load(s.KernelDir)
	if err != nil {
		return answer(out, kernelAnswer{}, err)
	}
	all, err := s.Templates().List()
	a := kernelAnswer{Kernel: k}
	for _, t := range all {
		a.Templates = append(a.Templates, templateOf(t))
	}
	return answer(out, a, err)
}

// kernelSet takes the path of an image and the directory of its modules, or
// "--debian" for the kernel of Debian's cloud images. Templates with another
// one go.
func kernelSet(ctx context.Context, out io.Writer, s bare.Source, args []string) error {
	k, err := setKernel(ctx, s.KernelDir, args)
	if err == nil {
		err = s.Templates().Keep(k.Digest)
	}
	return answer(out, kernelAnswer{Kernel: k}, err)
}

func setKernel(ctx context.Context, dir string, args []string) (kernel.Kernel, error) {
	if dir == "" {
		return kernel.Kernel{}, fmt.Errorf("%s is not set: this program is started by patchbayd: %w", KernelDirVariable, errdefs.ErrFailedPrecondition)
	}
	switch {
	case len(args) == 1 && args[0] == "--debian":
		return kernel.SetDebian(ctx, dir)
	case len(args) == 1:
		return kernel.Set(dir, args[0], "")
	case len(args) == 2:
		return kernel.Set(dir, args[0], args[1])
	}
	return kernel.Kernel{}, fmt.Errorf("want the path of a kernel, and perhaps that of its modules: %w", errdefs.ErrInvalidArgument)
}

// kernelWarm makes a template, if there is none yet, of a machine with as many bytes
// of memory and billionths of processors as the arguments say, 0 for the usual.
func kernelWarm(ctx context.Context, out io.Writer, s bare.Source, args []string) error {
	resources, err := sizeOf(args)
	if err != nil {
		return err
	}
	t, err := warm(ctx, s, resources, func(step string) {
		_ = json.NewEncoder(out).Encode(kernelAnswer{Step: step}) // whoever is gone cancels ctx
	})
	return answer(out, kernelAnswer{Templates: []resource.KernelTemplate{templateOf(t)}}, err)
}

func sizeOf(args []string) (resource.Resources, error) {
	if len(args) != 2 {
		return resource.Resources{}, fmt.Errorf("arguments %q: want bytes of memory and billionths of processors: %w", args, errdefs.ErrInvalidArgument)
	}
	memory, err := strconv.ParseInt(args[0], 10, 64)
	cpus, err2 := strconv.ParseInt(args[1], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return resource.Resources{}, fmt.Errorf("arguments %q: %w: %w", args, errdefs.ErrInvalidArgument, err)
	}
	return resource.Resources{MemoryBytes: memory, NanoCPUs: cpus}, nil
}

func warm(ctx context.Context, s bare.Source, r resource.Resources, step func(string)) (t template.Info, err error) {
	accelerator, err := accelerator()
	if err != nil {
		return t, err
	}
	m, err := s.Open(accelerator, sizeFor(r))
	if err != nil {
		return t, err
	}
	defer m.Close()
	dir, err := os.MkdirTemp("", "patchbay-template-")
	if err != nil {
		return t, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "console.log")
	if m.Console, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return t, err
	}
	defer m.Console.Close()
	machines, err := Machines()
	if err != nil {
		return t, err
	}
	user, err := users(machines, s, outer.Users).Lend()
	if err != nil {
		return t, err
	}
	defer func() { _ = user.Close() }() // it is given back at the latest with this process
	m.User, m.Start = user.ID, (*exec.Cmd).Start
	t, err = s.Save(ctx, m, machines.BootTimeout, step)
	if err != nil {
		if said := tail(path); said != "" {
			err = fmt.Errorf("%w; the end of its console: %s", err, said)
		}
	}
	return t, err
}
