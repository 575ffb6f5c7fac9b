// Package client holds the callers of the three contracts. A client is the
// generated one over a unix socket, with errors of the closed set of kinds.
package client

import (
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/api/patchbay/sandbox/v1/sandboxv1connect"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/resource"
)

// APIServer calls patchbayd.
type APIServer struct {
	System     apiserverv1connect.SystemServiceClient
	Plugins    apiserverv1connect.PluginServiceClient
	Networks   apiserverv1connect.NetworkServiceClient
	Containers apiserverv1connect.ContainerServiceClient
	Images     apiserverv1connect.ImageServiceClient
	Registries apiserverv1connect.RegistryServiceClient

	connection *rpc.Connection
}

// DialAPIServer returns a client for the patchbayd behind a socket. Nothing is
// sent until the first call.
func DialAPIServer(socket string) *APIServer {
	c := rpc.Dial(socket)
	return &APIServer{
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
func (c *APIServer) Close() { c.connection.Close() }

// NetworkPlugin calls the plugin of one network.
type NetworkPlugin struct {
	pluginv1connect.NetworkPluginServiceClient
	connection *rpc.Connection
}

// DialNetworkPlugin returns a client for the plugin behind a socket that speaks
// a codec, as its manifest says.
func DialNetworkPlugin(socket string, codec resource.Codec) *NetworkPlugin {
	c := rpc.Dial(socket)
	c.SpeakJSON(codec == resource.CodecJSON)
	return &NetworkPlugin{pluginv1connect.NewNetworkPluginServiceClient(c.Client), c}
}

// Speak sets the codec of later calls, for a plugin that took another's place.
func (c *NetworkPlugin) Speak(codec resource.Codec) {
	c.connection.SpeakJSON(codec == resource.CodecJSON)
}

// Close drops idle connections.
func (c *NetworkPlugin) Close() { c.connection.Close() }

// Sandbox calls one runtime helper.
type Sandbox struct {
	sandboxv1connect.SandboxServiceClient
	connection *rpc.Connection
}

// DialSandbox returns a client for the runtime helper behind a socket.
func DialSandbox(socket string) *Sandbox {
	c := rpc.Dial(socket)
	return &Sandbox{sandboxv1connect.NewSandboxServiceClient(c.Client), c}
}

// Close drops idle connections.
func (c *Sandbox) Close() { c.connection.Close() }
