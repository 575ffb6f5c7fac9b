package cli

import "github.com/spf13/cobra"

func newSystemKernel(f *frame) *cobra.Command {
	return group(f, "kernel", "The kernel that virtual machines boot", newSystemKernelSet(f), newSystemKernelStatus(f), newSystemKernelWarm(f))
}
