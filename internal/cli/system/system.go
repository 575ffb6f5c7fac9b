package system

import (
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
)

// New returns the command "system".
func New(f *frame.Frame) *cobra.Command {
	return frame.Group(f, "system", "The server, patchbayd",
		newSystemStart(f), newSystemStop(f), newSystemStatus(f), newSystemInfo(f), newSystemVersion(f), newSystemLogs(f), newSystemEvents(f), newSystemTrace(f), newSystemKernel(f))
}
