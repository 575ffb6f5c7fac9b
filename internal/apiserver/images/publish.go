package images

import (
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/resource/event"
)

// Events tells of changes. It is called with locks held and does not wait.
type Events interface {
	Publish(e event.Event)
}

// publish tells of a change of an image; name is a reference or its digest.
func (s *Service) publish(action, digest, name string) {
	if s.events != nil {
		s.events.Publish(event.Event{Type: event.Image, Action: action, ID: digest, Name: name})
	}
}

// publishAll tells that images were added, under each of their names.
func (s *Service) publishAll(action string, images ...resource.Image) {
	for _, image := range images {
		for _, name := range image.Status.References {
			s.publish(action, image.ID, name)
		}
		if len(image.Status.References) == 0 {
			s.publish(action, image.ID, image.ID)
		}
	}
}
