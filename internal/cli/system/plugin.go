package system

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
)

// NewPlugin returns the command "plugin".
func NewPlugin(f *frame.Frame) *cobra.Command {
	return frame.Group(f, "plugin", "Plugins that serve networks or run containers",
		frame.Maker{Name: "list", Make: newPluginList},
		frame.Maker{Name: "inspect", Make: newPluginInspect},
		frame.Maker{Name: "restart", Make: newPluginRestart},
	)
}

// pluginView is a plugin as it is shown.
type pluginView struct {
	Name           string               `json:"name"`
	Kind           string               `json:"kind,omitempty"`
	Abstract       string               `json:"abstract,omitempty"`
	Protocol       uint32               `json:"protocol,omitempty"`
	Directory      string               `json:"directory"`
	DefaultVariant string               `json:"defaultVariant,omitempty"`
	Variants       []variantView        `json:"variants,omitempty"`
	Strategies     []string             `json:"strategies,omitempty"`
	Codec          string               `json:"codec,omitempty"`
	Fault          string               `json:"fault,omitempty"`
	Shadowed       []string             `json:"shadowed,omitempty"`
	Instances      []pluginInstanceView `json:"instances"`
}

type variantView struct {
	Name     string `json:"name"`
	Strategy string `json:"strategy"`
}

type pluginInstanceView struct {
	Resource string `json:"resource"`
	PID      int64  `json:"pid"`
	State    string `json:"state"`
	Version  string `json:"version,omitempty"`
}

func viewPlugin(p *apiserverv1.Plugin) pluginView {
	v := pluginView{
		Name: p.GetName(), Kind: p.GetKind(), Abstract: p.GetAbstract(), Protocol: p.GetProtocol(), Directory: p.GetDirectory(),
		DefaultVariant: p.GetDefaultVariant(), Strategies: p.GetStrategies(), Codec: p.GetCodec(), Fault: p.GetFault(), Shadowed: p.GetShadowed(),
		Instances: []pluginInstanceView{},
	}
	for _, x := range p.GetVariants() {
		v.Variants = append(v.Variants, variantView{Name: x.GetName(), Strategy: x.GetStrategy()})
	}
	for _, x := range p.GetInstances() {
		v.Instances = append(v.Instances, pluginInstanceView{Resource: x.GetResource(), PID: x.GetPid(), State: x.GetState(), Version: x.GetVersion()})
	}
	return v
}

// pluginTable shows plugins to people; the default variant comes first.
func pluginTable(plugins []pluginView, whole bool) *output.Table {
	t := output.NewTable("NAME", "KIND", "VARIANTS", "STRATEGIES", "INSTANCES", "STATE", "DIRECTORY")
	for _, p := range plugins {
		variants, strategies := []string{}, p.Strategies
		for _, v := range p.Variants {
			if v.Name == p.DefaultVariant {
				variants = append([]string{v.Name}, variants...)
			} else {
				variants = append(variants, v.Name)
			}
			if !slices.Contains(strategies, v.Strategy) {
				strategies = append(strategies, v.Strategy)
			}
		}
		state := "ok"
		if p.Fault != "" {
			state = "unusable: " + output.Short(strings.ReplaceAll(p.Fault, "\n", "; "), 60, whole)
		}
		t.Add(p.Name, p.Kind, strings.Join(variants, ","), strings.Join(strategies, ","), strconv.Itoa(len(p.Instances)), state, p.Directory)
	}
	return t
}
