// Package pluginclient calls the plugin of a network. The client is the generated
// one over a unix socket, with errors of the closed set of kinds.
package pluginclient

import (
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/resource"
)

// Client calls the plugin of one network.
type Client struct {
	pluginv1connect.NetworkPluginServiceClient
	connection *rpc.Connection
}

// Dial returns a client for the plugin behind a socket that speaks a codec, as its
// manifest says. Nothing is sent until the first call.
func Dial(socket string, codec resource.Codec) *Client {
	c := rpc.Dial(socket)
	c.SpeakJSON(codec == resource.CodecJSON)
	return &Client{pluginv1connect.NewNetworkPluginServiceClient(c.Client), c}
}

// Speak sets the codec of later calls, for a plugin that took another's place.
func (c *Client) Speak(codec resource.Codec) {
	c.connection.SpeakJSON(codec == resource.CodecJSON)
}

// Close drops idle connections.
func (c *Client) Close() { c.connection.Close() }
