// Package oci is the engine of sandboxes made of Linux namespaces. The network
// namespace, its interfaces and the root file system are made here; the processes
// by crun or runc.
//
// The helper is process 1 of a PID namespace and in a mount namespace of its own.
// All processes of the container are in a PID namespace below it, so that the
// kernel kills them with the helper, and takes the mounts away.
package oci
