package verbs

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
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/outer"
	"patchbay.dev/patchbay/internal/runtime/vm/accel"
	"patchbay.dev/patchbay/internal/runtime/vm/bare"
	"patchbay.dev/patchbay/internal/runtime/vm/console"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/site"
	"patchbay.dev/patchbay/internal/runtime/vm/template"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// kernelAnswer is a line of what the verbs of the kernel tell the daemon: a step that
// begins, or at the end all else.
type kernelAnswer struct {
	Step      string                    `json:"step,omitempty"`
	Kernel    shownKernel               `json:"kernel"`
	Templates []resource.KernelTemplate `json:"templates"`
	Fault     string                    `json:"fault,omitempty"` // in words for the user, why there is no answer
}

// shownKernel is a kernel and what executes it.
type shownKernel struct {
	kernel.Kernel
	Accelerator resource.AcceleratorStatus `json:"accelerator"`
}

func templateOf(t template.Info) resource.KernelTemplate {
	return resource.KernelTemplate{
		MemoryBytes: t.Key.MemoryBytes, Processors: t.Key.CPUs, Accelerator: t.Key.Accelerator,
		BuiltAt: t.BuiltAt, UsedAt: t.UsedAt, Uses: t.Uses, DiskBytes: t.Bytes,
	}
}

func answer(out io.Writer, a kernelAnswer, err error) error {
	if err != nil {
		a.Fault = wire.Text(err)
	}
	return json.NewEncoder(out).Encode(a)
}

// kernelStatus tells the kernel and the templates.
func (v Verbs) kernelStatus(out io.Writer) error {
	k, err := kernel.Load(v.Source.KernelDir)
	if err != nil {
		return answer(out, kernelAnswer{}, err)
	}
	all, err := v.Source.Templates().List()
	a := kernelAnswer{Kernel: shownKernel{k, v.Known(k).Status()}}
	for _, t := range all {
		a.Templates = append(a.Templates, templateOf(t))
	}
	return answer(out, a, err)
}

// kernelTry finds out what executes guests, where that is not known yet.
func (v Verbs) kernelTry(ctx context.Context, out io.Writer) error {
	k, err := kernel.Load(v.Source.KernelDir)
	if err != nil {
		return answer(out, kernelAnswer{}, err)
	}
	host, err := v.moveIn()
	if err != nil {
		return err
	}
	_, err = v.Chooser(k, host).Decide(ctx)
	if err != nil && !errdefs.IsFailedPrecondition(err) { // which the answer says
		return err
	}
	return answer(out, kernelAnswer{Kernel: shownKernel{k, v.Known(k).Status()}}, nil)
}

// kernelSet takes the path of an image and the directory of its modules, or
// "--debian" for the kernel of Debian's cloud images. Templates with another
// one go.
func kernelSet(ctx context.Context, out io.Writer, s bare.Source, args []string) error {
	k, err := setKernel(ctx, s.KernelDir, args)
	if err == nil {
		err = s.Templates().Keep(k.Digest)
	}
	return answer(out, kernelAnswer{Kernel: shownKernel{Kernel: k}}, err)
}

func setKernel(ctx context.Context, dir string, args []string) (kernel.Kernel, error) {
	if dir == "" {
		return kernel.Kernel{}, fmt.Errorf("%s is not set: this program is started by patchbayd: %w", site.KernelDirVariable, errdefs.ErrFailedPrecondition)
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
func (v Verbs) kernelWarm(ctx context.Context, out io.Writer, args []string) error {
	idle := len(args) > 0 && args[len(args)-1] == site.Background
	if idle {
		args = args[:len(args)-1]
	}
	resources, err := sizeOf(args)
	if err != nil {
		return err
	}
	t, err := v.warm(ctx, resources, idle, func(step string) {
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

// moveIn makes the namespaces that this program was started in usable. What it leaves
// there is gone with it.
func (v Verbs) moveIn() (*outer.Host, error) {
	host, err := outer.MoveIn()
	if err != nil {
		return nil, err
	}
	return host, host.OwnTemporary(filepath.Join(v.Source.Directory(), "tmp"))
}

// idleFactor is how much longer a guest may take that gets in nobody's way.
const idleFactor = 3

// startIdle starts a process that runs when nobody else wants to. The calling thread
// does not run otherwise any more.
func startIdle(cmd *exec.Cmd) error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 19); err != nil { // of the thread (setpriority(2), NOTES)
		return err
	}
	return cmd.Start()
}

func (v Verbs) warm(ctx context.Context, r resource.Resources, idle bool, step func(string)) (t template.Info, err error) {
	if !v.Machines.Templates {
		return t, fmt.Errorf("machines always boot: the configuration says so (vm.templates): %w", errdefs.ErrFailedPrecondition)
	}
	k, err := kernel.Load(v.Source.KernelDir)
	if err != nil {
		return t, err
	}
	host, err := v.moveIn()
	if err != nil {
		return t, err
	}
	verdict, err := v.Chooser(k, host).Decide(ctx)
	if err != nil {
		return t, err
	}
	m, err := v.Source.Open(verdict.Accelerator, site.SizeFor(r))
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
	user, err := v.Users(host).Lend()
	if err != nil {
		return t, err
	}
	defer func() { _ = user.Close() }() // it is given back at the latest with this process
	m.User, m.Start = user.ID, (*exec.Cmd).Start
	limit := v.Machines.BootTimeout
	if idle {
		m.Start = startIdle
		limit *= idleFactor
	}
	if verdict.Accelerator == qemu.KVM {
		if err := accel.Lend(user.ID, filepath.Join(dir, "kvm")); err != nil {
			return t, err
		}
	}
	if t, err = v.Source.Save(ctx, m, limit, step); err != nil {
		err = console.Explain(err, "", path)
	}
	return t, err
}
