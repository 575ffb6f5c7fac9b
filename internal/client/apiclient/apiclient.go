// Package apiclient calls patchbayd. The client is the generated one over a unix
// socket, with errors of the closed set of kinds.
package apiclient

import (
	"context"

	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/rpc/direct"
)

// Client calls patchbayd.
type Client struct {
	System     apiserverv1connect.SystemServiceClient
	Plugins    apiserverv1connect.PluginServiceClient
	Networks   apiserverv1connect.NetworkServiceClient
	Containers apiserverv1connect.ContainerServiceClient
	Images     apiserverv1connect.ImageServiceClient
	Registries apiserverv1connect.RegistryServiceClient

	connection *direct.Connection
}

// Dial returns a client for the patchbayd behind a socket. Nothing is sent until
// the first call.
func Dial(socket string) *Client { return over(direct.Dial(socket)) }

// Connect returns a client with a connection to the patchbayd behind a socket, for its first
// call. It calls begun with each call, as direct.Connect has it. Its error is what
// connect(2) says, such as os.ErrNotExist.
func Connect(ctx context.Context, socket string, begun func()) (*Client, error) {
	c, err := direct.Connect(ctx, socket, begun)
	if err != nil {
		return nil, err
	}
	return over(c), nil
}

// InPieces returns a context for calls whose answers are lists, which are read while they come: what they have is found by
// message.Parts alone, as direct.InPieces has it.
func InPieces(ctx context.Context) context.Context { return direct.InPieces(ctx) }

func over(c *direct.Connection) *Client {
	return &Client{
		System:     apiserverv1connect.NewSystemServiceClient(c.Client),
		Plugins:    apiserverv1connect.NewPluginServiceClient(c.Client),
		Networks:   apiserverv1connect.NewNetworkServiceClient(c.Client),
		Containers: apiserverv1connect.NewContainerServiceClient(c.Client),
		Images:     apiserverv1connect.NewImageServiceClient(c.Client),
		Registries: apiserverv1connect.NewRegistryServiceClient(c.Client),
		connection: c,
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.connection.Close() }
