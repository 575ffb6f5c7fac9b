// Package event has what is told of changes.
package event

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Type is the kind of thing that an event is about.
type Type string

// The types of events.
const (
	Container Type = "container"
	Network   Type = "network"
	Image     Type = "image"
	Plugin    Type = "plugin"
	System    Type = "system"
)

// Actions of events, beside the states of networks.
const (
	ActionCreate     = "create"
	ActionUpdate     = "update"
	ActionDelete     = "delete"
	ActionStart      = "start"      // of a container, or of patchbayd
	ActionDie        = "die"        // of a container's main process, or of a plugin
	ActionStop       = "stop"       // a container has ended because somebody stopped it; or patchbayd ends
	ActionRestart    = "restart"    // somebody has replaced a plugin's process
	ActionConnect    = "connect"    // of a running container, to the network in the attributes
	ActionDisconnect = "disconnect" // likewise
	ActionPull       = "pull"
	ActionLoad       = "load"
	ActionImport     = "import"
	ActionTag        = "tag"
	ActionUntag      = "untag"
)

// Keys of the attributes of events.
const (
	AttributeContainer = "container"
	AttributeNetwork   = "network"
	AttributeImage     = "image"
	AttributePlugin    = "plugin"
	AttributeExitCode  = "exitCode"
	AttributeMessage   = "message" // why
)

// Event tells of one change that has happened.
type Event struct {
	// Revision is greater than that of every earlier event, also of earlier runs
	// of patchbayd; revisions may be left out.
	Revision   uint64            `json:"revision"`
	Time       time.Time         `json:"time"`
	Type       Type              `json:"type"`
	Action     string            `json:"action"`
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name"`
	Labels     map[string]string `json:"labels,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Filter selects events by one of their sides.
type Filter struct {
	Key   string // type, event, container, network, image, plugin or label
	Value string
}

// Query asks for events: those after a revision or since a time, else new
// ones alone.
type Query struct {
	After   uint64    // revision; 0: see Since
	Since   time.Time // zero: from now on
	Until   time.Time // zero: without end
	Filters []Filter
}

// matchers is what each filter looks at.
var matchers = map[string]func(e Event, value string) bool{
	"type":      func(e Event, v string) bool { return string(e.Type) == v },
	"event":     func(e Event, v string) bool { return e.Action == v },
	"container": func(e Event, v string) bool { return e.isAbout(Container, AttributeContainer, v) },
	"network":   func(e Event, v string) bool { return e.isAbout(Network, AttributeNetwork, v) },
	"image":     func(e Event, v string) bool { return e.isAbout(Image, AttributeImage, v) },
	"plugin":    func(e Event, v string) bool { return e.isAbout(Plugin, AttributePlugin, v) },
	"label": func(e Event, v string) bool {
		key, value, both := strings.Cut(v, "=")
		has, ok := e.Labels[key]
		return ok && (!both || has == value)
	},
}

// isAbout reports whether an event is about the thing of a name, id or prefix of an
// id, or names it.
func (e Event) isAbout(t Type, attribute, name string) bool {
	return e.Type == t && (e.Name == name || e.ID == name || resource.IsIDPrefix(name, e.ID)) || e.Attributes[attribute] == name
}

// ParseFilter parses KEY=VALUE.
func ParseFilter(s string) (Filter, error) {
	key, value, _ := strings.Cut(s, "=")
	f := Filter{Key: key, Value: value}
	return f, f.fault(s)
}

// fault says what is wrong with a filter that was given as text.
func (f Filter) fault(text string) error {
	if matchers[f.Key] == nil || f.Value == "" {
		return fmt.Errorf("filter %q: want KEY=VALUE, key one of %s", text, strings.Join(slices.Sorted(maps.Keys(matchers)), ", "))
	}
	return nil
}

// Validate reports every fault of form at once, as errdefs.ErrInvalidArgument.
func (q Query) Validate() error {
	var faults []error
	for _, f := range q.Filters {
		faults = append(faults, f.fault(f.Key+"="+f.Value))
	}
	if q.After != 0 && !q.Since.IsZero() {
		faults = append(faults, fmt.Errorf("since: want a revision or a time, not both"))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	return nil
}

// Match reports whether an event passes the filters: of those of one key, one has
// to fit, but of labels each.
func (q Query) Match(e Event) bool {
	fits := map[string]bool{}
	for _, f := range q.Filters {
		fit := matchers[f.Key](e, f.Value)
		if f.Key == "label" && !fit {
			return false
		}
		fits[f.Key] = fits[f.Key] || fit
	}
	for _, fit := range fits {
		if !fit {
			return false
		}
	}
	return true
}
