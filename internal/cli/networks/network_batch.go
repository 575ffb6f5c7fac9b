package networks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/networkfile"
	"patchbay.dev/patchbay/internal/cli/terminal"
	"patchbay.dev/patchbay/internal/wire/apiwire"
)

// readFile returns a file of at most so many bytes; "-" is standard input.
func readFile(f *frame.Frame, path string, most int64) ([]byte, error) {
	in := f.Stdin
	if path == "-" {
		if terminal.Is(f.Stdin) {
			return nil, frame.NewUsageError(errors.New("standard input is a terminal, want a file: name one, or pipe one in"))
		}
	} else {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// takeBackLimit bounds how long networks are deleted that were created before
// one which failed.
const takeBackLimit = 30 * time.Second

type networkBatch interface {
	networkCreator
	networkDeleter
}

// createNetworks creates all of the networks and prints their names, or none.
func createNetworks(ctx context.Context, api networkBatch, out io.Writer, networks []networkfile.Network) error {
	for i, n := range networks {
		_, err := api.Create(ctx, &apiserverv1.NetworkServiceCreateRequest{
			Name: n.Name, Labels: n.Labels, Configuration: apiwire.NetworkConfigurationToProto(n.Configuration),
		})
		if err != nil {
			return errors.Join(ofNetwork(n.Name, err), takeBackNetworks(ctx, api, networks[:i]))
		}
	}
	for _, n := range networks {
		if _, err := fmt.Fprintln(out, n.Name); err != nil {
			return err
		}
	}
	return nil
}

// ofNetwork names the network in an error, unless that does itself.
func ofNetwork(name string, err error) error {
	if strings.HasPrefix(err.Error(), "network "+name+":") {
		return err
	}
	return fmt.Errorf("network %s: %w", name, err)
}

// takeBackNetworks deletes networks, also after an interrupt.
func takeBackNetworks(ctx context.Context, api networkDeleter, networks []networkfile.Network) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackLimit)
	defer cancel()
	var faults []error
	for _, n := range networks {
		if _, err := api.Delete(ctx, &apiserverv1.NetworkServiceDeleteRequest{Name: n.Name}); err != nil {
			faults = append(faults, fmt.Errorf("network %s: was created before and is left: %w", n.Name, err))
		}
	}
	return errors.Join(faults...)
}
