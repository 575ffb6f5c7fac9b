package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/containers"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/images"
	"patchbay.dev/patchbay/internal/cli/networks"
	"patchbay.dev/patchbay/internal/cli/running"
	"patchbay.dev/patchbay/internal/cli/system"
)

// nouns are the commands with commands of their own.
var nouns = []frame.Maker{
	{Name: "container", Make: newContainer},
	{Name: "network", Make: networks.New},
	{Name: "image", Make: images.New},
	{Name: "registry", Make: images.NewRegistry},
	{Name: "plugin", Make: system.NewPlugin},
}

var ofSystem = []frame.Maker{
	{Name: "system", Make: system.New},
	{Name: "version", Make: system.NewVersion},
}

// containerVerbs are the commands for containers, which are at the top as well
// as below "container".
var containerVerbs = []frame.Maker{
	{Name: "run", Make: running.NewRun},
	{Name: "create", Make: running.NewCreate},
	{Name: "start", Make: running.NewStart},
	{Name: "attach", Make: running.NewAttach},
	{Name: "stop", Make: running.NewStop},
	{Name: "kill", Make: running.NewKill},
	{Name: "restart", Make: running.NewRestart},
	{Name: "wait", Make: running.NewWait},
	{Name: "list", Make: containers.NewList},
	{Name: "inspect", Make: containers.NewInspect},
	{Name: "logs", Make: containers.NewLogs},
	{Name: "stats", Make: containers.NewStats},
	{Name: "port", Make: containers.NewPort},
	{Name: "exec", Make: running.NewExec},
	{Name: "cp", Make: containers.NewCopy},
	{Name: "delete", Make: containers.NewDelete},
}

func newContainer(f *frame.Frame) *cobra.Command {
	prune := frame.Maker{Name: "prune", Make: containers.NewPrune}
	return frame.Group(f, "container", "Containers: the commands at the top, and prune", append(slices.Clone(containerVerbs), prune)...)
}
