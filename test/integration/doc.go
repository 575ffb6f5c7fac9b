// Package integration holds the acceptance tests: the built binaries of dist/,
// run in network namespaces that stand for a host and for the world outside,
// with roots of their own. Every test ends with a comparison of its host with
// what it was before.
//
// The tests need root, and "make build" before; "make test-integration" does
// both. They never touch the machine's own network namespace.
package integration
