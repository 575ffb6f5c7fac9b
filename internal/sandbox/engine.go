package sandbox

import (
	"context"
	"io"
	"syscall"

	"patchbay.dev/patchbay/internal/sandbox/names"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/internal/stdio"
	"patchbay.dev/patchbay/resource"
)

// Engine makes the isolation and the processes of one sandbox. Its calls come
// in this order: Isolate once; Prepare then Create, and Plug, possibly at the same
// time; Exec any number of times; Free; Destroy. Rewrite comes after Prepare.
type Engine interface {
	// Isolate makes the sandbox's network, with its loopback up, and returns
	// the path by which the network plugins reach it; "" where there is none.
	Isolate(ctx context.Context) (networkNamespace string, err error)
	// Prepare makes all else that the main process needs. Of networks nothing is known
	// yet.
	Prepare(ctx context.Context, c Configuration) error
	// Rewrite makes the files that tell the sandbox of its networks say what a
	// configuration does. What was changed from inside stays as it is.
	Rewrite(c Configuration) error
	// Plug makes interfaces, in order; all or none of them.
	Plug(ctx context.Context, interfaces []wiring.Interface) error
	// Create makes the main process, stopped before its command. A command
	// that is not there is errdefs.ErrNotFound, one that cannot be executed
	// errdefs.ErrPermissionDenied, both with a text that begins with "exec:".
	Create(ctx context.Context) (MainProcess, error)
	// Exec starts a further process; its errors are like Create's. The name is
	// of letters and digits and used once.
	Exec(ctx context.Context, name string, c ExecConfiguration) (Process, error)
	Ender
}

// Ender takes a sandbox away, in two parts: nobody has to wait for the second.
type Ender interface {
	// Free kills what runs and gives back what others could want: interfaces, and what is
	// theirs on the host. It may be called in every state and again.
	Free(ctx context.Context) error
	// Destroy is Free, and removes all else that was made. It may be called in every
	// state and again.
	Destroy(ctx context.Context) error
}

// Warner is an Engine that has something to say of a sandbox that it has made.
type Warner interface {
	// Warnings are what the user should know, a line each.
	Warnings() []string
}

// Machined is an Engine whose sandboxes are virtual machines.
type Machined interface {
	// Machine says what it has made, when that has been made.
	Machine() resource.MachineStatus
}

// Process is one process of a sandbox.
type Process interface {
	// PID is the process's number as the host sees it.
	PID() int
	// Signal sends a signal; errdefs.ErrNotFound when it has ended.
	Signal(s syscall.Signal) error
	// Resize sets the size of its terminal; errdefs.ErrFailedPrecondition when
	// it has none.
	Resize(width, height uint16) error
	// Streams are its standard streams.
	Streams() *stdio.Hub
	// Done is closed when it has ended; then Code is how: 128 + n for signal n.
	Done() <-chan struct{}
	Code() int
}

// MainProcess is the process whose life is the sandbox's.
type MainProcess interface {
	Process
	// Start lets it begin with its command.
	Start(ctx context.Context) error
	// SignalAll sends a signal to all processes of the sandbox.
	SignalAll(s syscall.Signal) error
	// OutOfMemory reports whether the kernel killed a process of the sandbox
	// for want of memory.
	OutOfMemory() bool
}

// Explained is a MainProcess that can say why it ended, after Done; "" when its
// code says all.
type Explained interface{ Reason() string }

// Errander is an Engine that wants its runtime's program to be run when the sandbox is
// made, in the background, so that later ones are made faster.
type Errander interface {
	// Errand are the arguments; none: there is nothing to do.
	Errand() []string
}

// Configuration is all that an engine needs to know of a sandbox.
type Configuration struct {
	ID               string
	Name             string
	Hostname         string // never empty
	Process          resource.Process
	RootFilesystem   RootFilesystem
	Mounts           []resource.Mount
	Attachments      []resource.Attachment // as planned, with interface names
	Resources        resource.Resources
	CapabilitiesAdd  []string
	CapabilitiesDrop []string
	Init             bool
	DNS              resource.DNSConfiguration // what resolv.conf says
	ExtraHosts       []names.HostEntry         // further lines of /etc/hosts
	Stdout, Stderr   io.Writer                 // the log of the main process
	AwaitAttach      bool
}

// RootFilesystem is an overlay of unpacked layers.
type RootFilesystem struct {
	LowerDirectories []string // uppermost first; never written to
	UpperDirectory   string
	WorkDirectory    string
	ReadOnly         bool
	Discardable      bool // what is written need not outlive the host
}

// ExecConfiguration is a further process.
type ExecConfiguration struct {
	Process    resource.Process
	Privileged bool // with all capabilities
	Detach     bool // nobody will attach
}
