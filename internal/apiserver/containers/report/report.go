// Package report tells of changes of containers.
package report

import (
	"strconv"

	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Events takes in what is told. It is called with locks held and does not wait.
type Events interface {
	Publish(e event.Event)
}

// Container is what an event says of the container itself.
type Container struct {
	resource.Metadata
	Image string // as the user named it
}

// Change tells of an action, with pairs of further attributes. Nil events are told
// to nobody.
func Change(events Events, c Container, action string, attributes ...string) {
	if events == nil {
		return
	}
	all := map[string]string{event.AttributeImage: c.Image}
	for i := 0; i+1 < len(attributes); i += 2 {
		all[attributes[i]] = attributes[i+1]
	}
	events.Publish(event.Event{Type: event.Container, Action: action, ID: c.ID, Name: c.Name, Labels: c.Labels, Attributes: all})
}

// End tells how a run ended, and whether somebody stopped it.
func End(events Events, c Container, last disk.Exit, stopped bool) {
	attributes := []string{event.AttributeExitCode, strconv.Itoa(last.Code)}
	if last.Message != "" {
		attributes = append(attributes, event.AttributeMessage, last.Message)
	}
	Change(events, c, event.ActionDie, attributes...)
	if stopped {
		Change(events, c, event.ActionStop)
	}
}
