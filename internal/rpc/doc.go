// Package rpc serves and dials the contracts of api over unix sockets: the one
// place that knows the transport, checks who calls, and turns errors into
// codes and back at the edge.
package rpc
