package cli

import (
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/containers"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/running"
)

// containerVerbs are the commands for containers, which are at the top as well
// as below "container", by their names.
var containerVerbs = []struct {
	name string
	make func(*frame.Frame) *cobra.Command
}{
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
	var out []*cobra.Command
	for _, verb := range containerVerbs {
		out = append(out, verb.make(f))
	}
	return out
}

func newContainer(f *frame.Frame) *cobra.Command {
	return frame.Group(f, "container", "Containers: the commands at the top, and prune", append(containerCommands(f), containers.NewPrune(f))...)
}
