// Package guest is the agent that is process 1 of a virtual machine: it makes the
// container's root file system, interfaces and processes inside, as the runtime
// helper tells it through the channel. The machine is the isolation: beside their
// root directory, the container's processes get a PID namespace and a control
// group only, for the view of the world that programs expect.
package guest

// Where things are in the initial file system, which the agent stays in.
const (
	newRoot   = "/newroot" // the container's root
	sharesDir = "/shares"  // what the host shares
	filesDir  = "/files"   // what is laid over files of the image
	groupDir  = "/cgroup/container"
)
