package cli

import "github.com/spf13/cobra"

func newSystem(f *frame) *cobra.Command {
	return group(f, "system", "The server, patchbayd",
		newSystemStart(f), newSystemStop(f), newSystemStatus(f), newSystemInfo(f), newSystemVersion(f), newSystemLogs(f), newSystemEvents(f), newSystemKernel(f))
}
