package images

import (
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
)

// NewRegistry returns the command "registry".
func NewRegistry(f *frame.Frame) *cobra.Command {
	return frame.Group(f, "registry", "Logins at image registries",
		frame.Maker{Name: "login", Make: newRegistryLogin},
		frame.Maker{Name: "logout", Make: newRegistryLogout},
		frame.Maker{Name: "list", Make: newRegistryList},
	)
}
