package cli

import (
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/containers"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/images"
	"patchbay.dev/patchbay/internal/cli/networks"
	"patchbay.dev/patchbay/internal/cli/running"
	"patchbay.dev/patchbay/internal/cli/system"
)

// command is one at the top, made only when it is needed.
type command struct {
	name string
	make func(*frame.Frame) *cobra.Command
}

func commands(f *frame.Frame, all []command) []*cobra.Command {
	out := make([]*cobra.Command, len(all))
	for i, c := range all {
		out[i] = c.make(f)
	}
	return out
}

// nouns are the commands with commands of their own.
var nouns = []command{
	{"container", newContainer},
	{"network", networks.New},
	{"image", images.New},
	{"registry", images.NewRegistry},
	{"plugin", system.NewPlugin},
}

var ofSystem = []command{
	{"system", system.New},
	{"version", system.NewVersion},
}

// containerVerbs are the commands for containers, which are at the top as well
// as below "container".
var containerVerbs = []command{
	{"run", running.NewRun},
	{"create", running.NewCreate},
	{"start", running.NewStart},
	{"attach", running.NewAttach},
	{"stop", running.NewStop},
	{"kill", running.NewKill},
	{"restart", running.NewRestart},
	{"wait", running.NewWait},
	{"list", containers.NewList},
	{"inspect", containers.NewInspect},
	{"logs", containers.NewLogs},
	{"stats", containers.NewStats},
	{"port", containers.NewPort},
	{"exec", running.NewExec},
	{"cp", containers.NewCopy},
	{"delete", containers.NewDelete},
}

func containerCommands(f *frame.Frame) []*cobra.Command {
	return commands(f, containerVerbs)
}

func newContainer(f *frame.Frame) *cobra.Command {
	return frame.Group(f, "container", "Containers: the commands at the top, and prune", append(containerCommands(f), containers.NewPrune(f))...)
}
