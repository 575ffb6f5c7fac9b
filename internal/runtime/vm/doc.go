// Package vm is the runtime whose sandboxes are virtual machines: one QEMU process
// for each, with the container's image on a disk, its interfaces directly on
// their networks, and an agent as process 1 that does in the guest what the
// helper says.
package vm
