package system

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
)

func newSystemKernelSet(f *frame.Frame) *cobra.Command {
	var debian bool
	var modules string
	c := &cobra.Command{
		Use:   "set [FLAGS] PATH",
		Short: "Choose the kernel that virtual machines boot from now on",
		Long: `Choose the kernel that virtual machines boot from now on: a bootable image (vmlinuz)
by its path, or with --debian that of Debian's cloud images, which is downloaded and
not installed. The modules that a guest needs are copied with it; a kernel that lacks
one is refused. Machines that run keep theirs.

Then a machine is booted to see whether KVM works here, if that is not known yet.`,
		Example: `  patchbay system kernel set --debian
  patchbay system kernel set /boot/vmlinuz-6.1.0-32-amd64
  patchbay system kernel set --modules /srv/linux/lib/modules/6.12.5 /srv/linux/vmlinuz`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case debian && (len(args) > 0 || modules != ""):
				return frame.NewUsageError(errors.New("--debian: takes neither a PATH nor --modules"))
			case !debian && len(args) != 1:
				return frame.NewUsageError(errors.New("want the PATH of a kernel, or --debian"))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			request := &apiserverv1.SetKernelRequest{}
			var err error
			if !debian {
				if request.Image, err = filepath.Abs(args[0]); err != nil {
					return err
				}
			}
			if modules != "" {
				if request.Modules, err = filepath.Abs(modules); err != nil {
					return err
				}
			}
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runSystemKernelSet(c.Context(), api.System, f, request)
		},
	}
	c.Flags().BoolVar(&debian, "debian", false, "the kernel of Debian's cloud images")
	c.Flags().StringVar(&modules, "modules", "", "`DIRECTORY` of the kernel's modules, if not where its release says")
	return c
}

type kernelSetter interface {
	SetKernel(context.Context, *apiserverv1.SetKernelRequest) (*apiserverv1.SetKernelResponse, error)
}

func runSystemKernelSet(ctx context.Context, api kernelSetter, f *frame.Frame, r *apiserverv1.SetKernelRequest) error {
	answer, err := api.SetKernel(ctx, r)
	if err != nil {
		return err
	}
	fmt.Fprintln(f.Stderr, "accelerator:", acceleratorOf(answer.GetKernel()))
	_, err = fmt.Fprintln(f.Stdout, answer.GetKernel().GetRelease())
	return err
}
