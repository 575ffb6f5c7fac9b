package main

import (
	"context"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/test/bench/engine"
)

// byAPI is Patchbay without its command line.
const byAPI = "patchbay, by the API"

// network makes one more network, of the default plugin if none is named.
func (b *bench) network(ctx context.Context, name, plugin string) error {
	_, err := b.api.Networks.Create(ctx, &apiserverv1.NetworkServiceCreateRequest{Name: name, Configuration: &apiserverv1.NetworkConfiguration{
		Plugin: &typesv1.PluginInfo{Plugin: plugin},
	}})
	return err
}

func (b *bench) deleteNetwork(ctx context.Context, name string) error {
	_, err := b.api.Networks.Delete(ctx, &apiserverv1.NetworkServiceDeleteRequest{Name: name})
	return err
}

// start makes a container that waits, and starts it.
func (b *bench) start(ctx context.Context, name string, networks ...string) error {
	template := &apiserverv1.ContainerTemplate{Image: "box", Command: []string{"sleep", "1000000"}}
	for _, n := range networks {
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

func (b *bench) connect(ctx context.Context, name, network string) error {
	_, err := b.api.Containers.Connect(ctx, &apiserverv1.ContainerServiceConnectRequest{Name: name, Network: &typesv1.AttachmentConfiguration{Network: network}})
	return err
}

func (b *bench) disconnect(ctx context.Context, name, network string) error {
	_, err := b.api.Containers.Disconnect(ctx, &apiserverv1.ContainerServiceDisconnectRequest{Name: name, Network: network})
	return err
}

// all are the networks that Patchbay's containers are on.
var all = engine.Networks(engine.MostNetworks)
