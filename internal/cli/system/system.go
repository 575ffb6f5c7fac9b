package system

import (
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
)

// New returns the command "system".
func New(f *frame.Frame) *cobra.Command {
	return frame.Group(f, "system", "The server, patchbayd",
		frame.Maker{Name: "start", Make: newSystemStart},
		frame.Maker{Name: "stop", Make: newSystemStop},
		frame.Maker{Name: "status", Make: newSystemStatus},
		frame.Maker{Name: "info", Make: newSystemInfo},
		frame.Maker{Name: "version", Make: newSystemVersion},
		frame.Maker{Name: "logs", Make: newSystemLogs},
		frame.Maker{Name: "events", Make: newSystemEvents},
		frame.Maker{Name: "trace", Make: newSystemTrace},
		frame.Maker{Name: "kernel", Make: newSystemKernel},
	)
}
