// Package sandbox is the runtime helper without its runtime: the states of one
// sandbox, its leases, its interfaces and its processes, over an Engine that knows
// how to make them. A sandbox never calls the API server.
//
// It is reached by patchbay.sandbox.v1 (package serve), and by stdio.sock for the
// standard streams of its processes.
package sandbox
