package cli

import "github.com/spf13/cobra"

func newRegistry(f *frame) *cobra.Command {
	return group(f, "registry", "Logins at image registries",
		newRegistryLogin(f), newRegistryLogout(f), newRegistryList(f))
}
