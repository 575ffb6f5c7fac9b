package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/client"
	"patchbay.dev/patchbay/test/bench/sample"
)

// bench is the patchbayd that is measured, and what it is compared with.
type bench struct {
	settings
	api *client.APIServer
}

const image = "box:latest"

// networksOf are the networks that containers are put on.
func networksOf(n int) []string { return []string{"n1", "n2", "n3", "n4"}[:n] }

// extra is the network that a container is connected to while it runs.
const extra = "extra"

func prepare(ctx context.Context, s settings) (*bench, error) {
	b := &bench{settings: s, api: client.DialAPIServer(filepath.Join(s.runRoot, "patchbayd.sock"))}
	for _, n := range append(networksOf(4), extra) {
		_, err := b.api.Networks.Create(ctx, &apiserverv1.NetworkServiceCreateRequest{Name: n, Configuration: &apiserverv1.NetworkConfiguration{}})
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

func (b *bench) close() error {
	b.api.Close()
	return nil
}

// command runs a program to its end.
func command(name string, args ...string) sample.Operation {
	return func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
		}
		return nil
	}
}

// run is the start to the exit of "true" by the command line.
func (b *bench) run(networks int) sample.Operation {
	args := []string{"run", "--rm"}
	for _, n := range networksOf(networks) {
		args = append(args, "--network", n)
	}
	return command("patchbay", append(args, image, "true")...)
}

// crun runs the same with a network namespace that is empty.
func (b *bench) crun() sample.Operation {
	return command("crun", "--root", filepath.Join(b.bundle, "state"), "run", "--bundle", b.bundle, "bench")
}

// start makes a container that waits, and starts it.
func (b *bench) start(ctx context.Context, name string, networks int) error {
	template := &apiserverv1.ContainerTemplate{Image: image, Command: []string{"sleep", "1000000"}}
	for _, n := range networksOf(networks) {
		template.Networks = append(template.Networks, &typesv1.AttachmentConfiguration{Network: n})
	}
	if _, err := b.api.Containers.Create(ctx, &apiserverv1.ContainerServiceCreateRequest{Name: name, Template: template}); err != nil {
		return err
	}
	_, err := b.api.Containers.Start(ctx, &apiserverv1.ContainerServiceStartRequest{Name: name})
	return err
}

// remove ends a container at once and deletes it.
func (b *bench) remove(ctx context.Context, name string) error {
	_, err := b.api.Containers.Delete(ctx, &apiserverv1.ContainerServiceDeleteRequest{Name: name, Force: true})
	return err
}

// rewire takes a running container onto one more network and off it.
func (b *bench) rewire(name string) sample.Operation {
	return func(ctx context.Context) error {
		_, err := b.api.Containers.Connect(ctx, &apiserverv1.ContainerServiceConnectRequest{
			Name: name, Network: &typesv1.AttachmentConfiguration{Network: extra},
		})
		if err != nil {
			return err
		}
		_, err = b.api.Containers.Disconnect(ctx, &apiserverv1.ContainerServiceDisconnectRequest{Name: name, Network: extra})
		return err
	}
}

// all does something with each of a burst of containers at once.
func (b *bench) all(ctx context.Context, do func(ctx context.Context, name string) error) (time.Duration, error) {
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range b.burst {
		group.Go(func() error { return do(ctx, fmt.Sprintf("burst%d", i)) })
	}
	err := group.Wait()
	return time.Since(began), err
}
