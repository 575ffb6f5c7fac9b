package system

import (
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
)

func newSystemKernel(f *frame.Frame) *cobra.Command {
	return frame.Group(f, "kernel", "The kernel that virtual machines boot",
		frame.Maker{Name: "set", Make: newSystemKernelSet},
		frame.Maker{Name: "status", Make: newSystemKernelStatus},
		frame.Maker{Name: "warm", Make: newSystemKernelWarm},
	)
}
