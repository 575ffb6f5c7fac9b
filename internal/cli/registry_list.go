package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/output"
)

// registryView is a login as it is shown: without its password.
type registryView struct {
	Registry string `json:"registry"`
	Username string `json:"username"`
}

func newRegistryList(f *frame) *cobra.Command {
	var o listOptions
	c := &cobra.Command{
		Use:     "list [FLAGS]",
		Aliases: []string{"ls"},
		Short:   "List the registries that there are credentials for",
		Example: `  patchbay registry list`,
		Args:    f.exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runRegistryList(c.Context(), api.Registries, f.stdout, o)
		},
	}
	o.bind(f, c, "registries")
	return c
}

type registryLister interface {
	List(context.Context, *apiserverv1.RegistryServiceListRequest) (*apiserverv1.RegistryServiceListResponse, error)
}

func runRegistryList(ctx context.Context, api registryLister, out io.Writer, o listOptions) error {
	answer, err := api.List(ctx, &apiserverv1.RegistryServiceListRequest{})
	if err != nil {
		return err
	}
	l := list[registryView]{
		quiet: func(v registryView) string { return v.Registry },
		table: output.NewTable("REGISTRY", "USER"),
	}
	for _, login := range answer.GetLogins() {
		l.items = append(l.items, registryView{Registry: login.GetRegistry(), Username: login.GetUsername()})
		l.table.Add(login.GetRegistry(), login.GetUsername())
	}
	return l.show(out, o)
}
