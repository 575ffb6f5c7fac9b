package images

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newRegistryLogout(f *frame.Frame) *cobra.Command {
	return &cobra.Command{
		Use:               "logout REGISTRY...",
		Short:             "Forget credentials",
		Example:           `  patchbay registry logout registry.example.com`,
		Args:              f.AtLeast(1, "a REGISTRY"),
		ValidArgsFunction: f.CompleteNames(0, registryNames),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runRegistryLogout(ctx, api.Registries, f.Stdout, args)
		}),
	}
}

func registryNames(ctx context.Context, api *apiclient.Client) []string {
	answer, err := api.Registries.List(ctx, &apiserverv1.RegistryServiceListRequest{})
	if err != nil {
		return nil
	}
	var out []string
	for _, l := range answer.GetLogins() {
		out = append(out, l.GetRegistry())
	}
	return out
}

type registryLogoutClient interface {
	Logout(context.Context, *apiserverv1.LogoutRequest) (*apiserverv1.LogoutResponse, error)
}

func runRegistryLogout(ctx context.Context, api registryLogoutClient, out io.Writer, names []string) error {
	return frame.ForEachName(ctx, out, names, func(ctx context.Context, name string) error {
		_, err := api.Logout(ctx, &apiserverv1.LogoutRequest{Registry: name})
		return err
	})
}
