package networks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/networkfile"
	"patchbay.dev/patchbay/internal/netimport"
)

type networkImportOptions struct {
	from   netimport.Kind
	dryRun bool
}

func newNetworkImport(f *frame.Frame) *cobra.Command {
	var o networkImportOptions
	c := &cobra.Command{
		Use:   "import [FLAGS] FILE...",
		Short: "Create the networks of another engine",
		Long: `Create the networks that files of other engines describe: the output of "docker
network inspect" or "podman network inspect", podman's network files, CNI
configuration lists, and the entity.json of apple/container. All of them are
created, or none. What cannot be carried over is told by name: the command
fails where the network would be another one without it.`,
		Example: `  docker network inspect web db | patchbay network import -
  patchbay network import --dry-run /etc/cni/net.d/10-web.conflist >web.toml
  patchbay network import --from podman /etc/containers/networks/*.json`,
		Args: f.AtLeast(1, "a FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			networks, notes, err := importable(f, args, o.from)
			if err != nil {
				return err
			}
			for _, note := range notes {
				fmt.Fprintln(f.Stderr, "patchbay: "+note)
			}
			if o.dryRun {
				return networkfile.Write(f.Stdout, false, networks)
			}
			return runNetworkImport(c.Context(), f, networks)
		},
	}
	kinds := make([]string, 0, len(netimport.Kinds()))
	for _, k := range netimport.Kinds() {
		kinds = append(kinds, string(k))
	}
	from := frame.Checked(f, &o.from, "kind", func(s string) (netimport.Kind, error) {
		if !slices.Contains(kinds, s) {
			return "", fmt.Errorf("from %q: want one of %s", s, strings.Join(kinds, ", "))
		}
		return netimport.Kind(s), nil
	})
	c.Flags().Var(from, "from", "whose files they are: "+strings.Join(kinds, ", ")+" (default: found by their shape)")
	frame.Complete(c, "from", kinds...)
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, `create nothing, and write what "network create --file" would create the same of`)
	return c
}

// importable returns the networks of all files, and what is to be said of them.
// The faults of all files are told at once.
func importable(f *frame.Frame, paths []string, from netimport.Kind) ([]networkfile.Network, []string, error) {
	if err := f.Usage(); err != nil {
		return nil, nil, err
	}
	var networks []networkfile.Network
	var notes []string
	var faults []error
	origin := map[string]string{}
	for _, path := range paths {
		data, err := readFile(f, path, networkfile.MaxSize)
		if err == nil && len(data) > networkfile.MaxSize {
			err = fmt.Errorf("is longer than %d bytes%w", networkfile.MaxSize, frame.Quiet(errdefs.ErrInvalidArgument))
		}
		var r netimport.Result
		if err == nil {
			r, err = netimport.Read(from, data)
		}
		if err != nil {
			faults = append(faults, ofFile(path, err))
			continue
		}
		for _, n := range r.Networks {
			if other, twice := origin[n.Name]; twice {
				faults = append(faults, fmt.Errorf("%s: network %s: is in %s too%w", path, n.Name, other, frame.Quiet(errdefs.ErrInvalidArgument)))
			}
			origin[n.Name] = path
			networks = append(networks, networkfile.Network(n))
		}
		for _, note := range r.Notes {
			notes = append(notes, path+": "+note)
		}
	}
	return networks, notes, errors.Join(faults...)
}

// ofFile puts the file before each line of an error.
func ofFile(path string, err error) error {
	if strings.Contains(err.Error(), path) {
		return err // it is about the file as such
	}
	return fileFaults{path, err}
}

type fileFaults struct {
	path   string
	faults error
}

func (f fileFaults) Error() string {
	return f.path + ": " + strings.ReplaceAll(f.faults.Error(), "\n", "\n"+f.path+": ")
}

func (f fileFaults) Unwrap() error { return f.faults }

func runNetworkImport(ctx context.Context, f *frame.Frame, networks []networkfile.Network) error {
	api, err := f.Dial(ctx)
	if err != nil {
		return err
	}
	defer api.Close()
	return createNetworks(ctx, api.Networks, f.Stdout, networks)
}
