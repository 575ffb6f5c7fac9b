package images

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

// registryView is a login as it is shown: without its password.
type registryView struct {
	Registry string `json:"registry"`
	Username string `json:"username"`
}

func newRegistryList(f *frame.Frame) *cobra.Command {
	var o frame.ListOptions
	c := &cobra.Command{
		Use:     "list [FLAGS]",
		Aliases: []string{"ls"},
		Short:   "List the registries that there are credentials for",
		Example: `  patchbay registry list`,
		Args:    f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			return runRegistryList(ctx, api.Registries, f.Stdout, o)
		}),
	}
	o.Bind(f, c, "registries")
	return c
}

type registryLister interface {
	List(context.Context, *apiserverv1.RegistryServiceListRequest) (*apiserverv1.RegistryServiceListResponse, error)
}

func runRegistryList(ctx context.Context, api registryLister, out io.Writer, o frame.ListOptions) error {
	answer, err := api.List(ctx, &apiserverv1.RegistryServiceListRequest{})
	if err != nil {
		return err
	}
	l := frame.List[registryView]{Quiet: func(v registryView) string { return v.Registry }}
	for _, login := range answer.GetLogins() {
		l.Items = append(l.Items, registryView{Registry: login.GetRegistry(), Username: login.GetUsername()})
	}
	l.Table = func() *output.Table {
		t := output.NewTable("REGISTRY", "USER")
		for _, v := range l.Items {
			t.Add(v.Registry, v.Username)
		}
		return t
	}
	return l.Show(out, o)
}
