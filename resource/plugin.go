package resource

// PluginKind says what a plugin does.
type PluginKind string

// The kinds of plugins.
const (
	PluginNetwork PluginKind = "network" // realizes networks
	PluginRuntime PluginKind = "runtime" // makes sandboxes
)

// Codec is the form in which a network plugin gets and gives messages.
type Codec string

// The codecs. An empty one is CodecProto.
const (
	CodecProto Codec = "proto" // binary protocol buffers
	CodecJSON  Codec = "json"  // their JSON form, for programs that have no protocol buffers
)

// Plugin is an installed plugin, as its manifest describes it. It has no
// configuration: its folder is all of it.
type Plugin struct {
	Name           string           `json:"name"`
	Kind           PluginKind       `json:"kind,omitempty"`
	Abstract       string           `json:"abstract,omitempty"`
	Protocol       int              `json:"protocol,omitempty"`
	Directory      string           `json:"directory"`
	DefaultVariant string           `json:"defaultVariant,omitempty"` // network
	Variants       []PluginVariant  `json:"variants,omitempty"`       // network
	Strategies     []string         `json:"strategies,omitempty"`     // runtime
	Codec          Codec            `json:"codec,omitempty"`          // network
	Fault          string           `json:"fault,omitempty"`          // why it is not used; empty: it is fit for use
	Shadowed       []string         `json:"shadowed,omitempty"`       // folders of the same name later in the path
	Instances      []PluginInstance `json:"instances,omitempty"`
}

// Strategy returns the strategy of a variant, and whether there is such a
// variant.
func (p Plugin) Strategy(variant string) (string, bool) {
	for _, v := range p.Variants {
		if v.Name == variant {
			return v.Strategy, true
		}
	}
	return "", false
}

// PluginVariant is one way in which a network plugin serves.
type PluginVariant struct {
	Name     string `json:"name"`
	Strategy string `json:"strategy"`
}

// PluginInstance is one running helper of a plugin.
type PluginInstance struct {
	Resource string `json:"resource"` // name of its network or container
	PID      int    `json:"pid"`
	State    string `json:"state"`
	Version  string `json:"version,omitempty"` // as the process tells; networks only
}
