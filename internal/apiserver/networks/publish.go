package networks

import (
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Events tells of changes. It is called with locks held and does not wait.
type Events interface {
	Publish(e event.Event)
}

// publish tells of a change of the network; mu is held.
func (n *network) publish(action, message string) {
	n.tell(event.Event{Type: event.Network, Action: action, ID: n.id, Name: n.record.Name}, event.AttributePlugin, n.record.Configuration.Plugin.Plugin, message)
}

// publishPlugin tells of a change of the plugin's process.
func (n *network) publishPlugin(action, message string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tell(event.Event{Type: event.Plugin, Action: action, Name: n.record.Configuration.Plugin.Plugin}, event.AttributeNetwork, n.record.Name, message)
}

// tell completes an event and publishes it, unless nobody may know of the network;
// mu is held.
func (n *network) tell(e event.Event, key, value, message string) {
	events := n.service.config.Events
	if events == nil || n.hidden {
		return
	}
	e.Labels, e.Attributes = n.record.Labels, map[string]string{key: value}
	if message != "" {
		e.Attributes[event.AttributeMessage] = message
	}
	events.Publish(e)
}

// reveal tells of a network that was made, and of its state.
func (n *network) reveal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hidden = false
	n.publish(event.ActionCreate, "")
	n.publish(string(n.status.State), n.status.Message)
}

// enter takes in a status; mu is held. That a network is starting is not told: what
// comes of it is.
func (n *network) enter(s resource.NetworkStatus) {
	was := n.status.State
	n.status = s
	if s.State != was && s.State != resource.NetworkStarting {
		n.publish(string(s.State), s.Message)
	}
	n.announce()
}
