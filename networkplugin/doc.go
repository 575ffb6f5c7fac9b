// Package networkplugin is for authors of network plugins. An author implements
// Network, which says how one network looks on the host, and calls Main; the
// addresses, leases, names, state files and the wire come with the package.
//
// A plugin is a folder with a manifest, plugin.toml, and a program. patchbayd
// starts one process of it for each network, and the process serves that network
// until it is told to end. It may be killed at any time and is started again:
// what it knew is in its state directory, and its network on the host goes on
// without it.
//
//   - patchbayd calls Start, and Allocate for every attachment of a container.
//   - The container's runtime helper holds the allocation by an open stream, upon
//     which the port is let onto the network by Admit.
//   - When the stream ends, by whatever death, the port is taken off by Expel,
//     and only then its addresses are free for others.
//   - When the plugin process dies instead, nothing happens to the containers:
//     they hold again as soon as there is a new one.
//
// The repository has a complete example in test/toyplugin, and the suite that
// every plugin should pass in package plugintest.
package networkplugin
