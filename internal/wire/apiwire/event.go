package apiwire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource/event"
)

// EventToProto converts an event.
func EventToProto(e event.Event) *apiserverv1.Event {
	return &apiserverv1.Event{
		Revision: e.Revision, Time: field.Timestamp(e.Time), Type: string(e.Type), Action: e.Action,
		Id: e.ID, Name: e.Name, Labels: e.Labels, Attributes: e.Attributes,
	}
}

// EventFromProto converts an event.
func EventFromProto(e *apiserverv1.Event) event.Event {
	return event.Event{
		Revision: e.GetRevision(), Time: field.Instant(e.GetTime()), Type: event.Type(e.GetType()), Action: e.GetAction(),
		ID: e.GetId(), Name: e.GetName(), Labels: e.GetLabels(), Attributes: e.GetAttributes(),
	}
}

// EventQueryToProto converts what is asked of events.
func EventQueryToProto(q event.Query) *apiserverv1.EventsRequest {
	return &apiserverv1.EventsRequest{
		AfterRevision: q.After, Since: field.Timestamp(q.Since), Until: field.Timestamp(q.Until),
		Filters: field.Each(q.Filters, func(f event.Filter) *apiserverv1.EventFilter {
			return &apiserverv1.EventFilter{Key: f.Key, Value: f.Value}
		}),
	}
}

// EventQueryFromProto converts what is asked of events.
func EventQueryFromProto(r *apiserverv1.EventsRequest) event.Query {
	return event.Query{
		After: r.GetAfterRevision(), Since: field.Instant(r.GetSince()), Until: field.Instant(r.GetUntil()),
		Filters: field.Each(r.GetFilters(), func(f *apiserverv1.EventFilter) event.Filter {
			return event.Filter{Key: f.GetKey(), Value: f.GetValue()}
		}),
	}
}
