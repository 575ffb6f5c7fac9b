// Package sandboxclient calls a runtime helper. The client is the generated one
// over a unix socket, with errors of the closed set of kinds.
package sandboxclient

import (
	"patchbay.dev/patchbay/api/patchbay/sandbox/v1/sandboxv1connect"
	"patchbay.dev/patchbay/internal/rpc"
)

// Client calls one runtime helper.
type Client struct {
	sandboxv1connect.SandboxServiceClient
	connection *rpc.Connection
}

// Dial returns a client for the runtime helper behind a socket. Nothing is sent
// until the first call.
func Dial(socket string) *Client {
	c := rpc.Dial(socket)
	return &Client{sandboxv1connect.NewSandboxServiceClient(c.Client), c}
}

// Close drops idle connections.
func (c *Client) Close() { c.connection.Close() }
