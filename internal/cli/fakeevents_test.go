package cli_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource/event"
)

// fakeEvents is what has happened at the fake server: an hour long something
// every ten minutes, and then what a script makes happen.
type fakeEvents struct {
	mu      sync.Mutex
	all     []event.Event // by revision; guarded by mu
	changed chan struct{} // closed by the next event; guarded by mu
}

// forgotten is the latest revision that is not kept any more.
const forgotten = 1000

func newFakeEvents() *fakeEvents {
	f := &fakeEvents{changed: make(chan struct{})}
	labels := map[string]string{"app": "shop", "tier": "front"}
	for i, e := range []event.Event{
		{Type: event.Network, Action: event.ActionCreate, ID: "3e0eaab7ab1da614", Name: "web", Attributes: map[string]string{event.AttributePlugin: "bridge"}},
		{Type: event.Container, Action: event.ActionStart, ID: "55fead944748baf9", Name: "server", Labels: labels, Attributes: map[string]string{event.AttributeImage: "box"}},
		{Type: event.Container, Action: event.ActionConnect, ID: "55fead944748baf9", Name: "server", Labels: labels, Attributes: map[string]string{event.AttributeNetwork: "web"}},
		{Type: event.Plugin, Action: event.ActionDie, Name: "bridge", Attributes: map[string]string{event.AttributeNetwork: "web", event.AttributeMessage: "was killed by SIGKILL\nat once"}},
		{Type: event.Container, Action: event.ActionDie, ID: "55fead944748baf9", Name: "server", Labels: labels, Attributes: map[string]string{event.AttributeImage: "box", event.AttributeExitCode: "3"}},
		{Type: event.Image, Action: event.ActionDelete, ID: "sha256:0011", Name: "sha256:0011"},
	} {
		e.Revision = forgotten + uint64(i) + 1
		e.Time = time.Date(2001, 1, 2, 15, 10*i, 0, 0, time.UTC)
		f.all = append(f.all, e)
	}
	return f
}

// happen adds an event of a system that is on and off.
func (f *fakeEvents) happen(action string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.all[len(f.all)-1]
	f.all = append(f.all, event.Event{Revision: last.Revision + 1, Time: last.Time.Add(10 * time.Minute), Type: event.System, Action: action, Name: "patchbayd"})
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeEvents) read() ([]event.Event, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all), f.changed
}

func (s fakeSystem) Events(ctx context.Context, r *apiserverv1.EventsRequest, stream apiserverv1connect.SystemServiceEventsServerStream) error {
	s.server.record("System.Events", r)
	q := apiwire.EventQueryFromProto(r)
	if q.After != 0 && q.After < forgotten {
		return fmt.Errorf("events: those after revision %d are no longer kept: %w", q.After, errdefs.ErrFailedPrecondition)
	}
	after := q.After
	all, _ := s.server.events.read()
	if q.After == 0 && q.Since.IsZero() {
		after = all[len(all)-1].Revision
	}
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	for {
		all, changed := s.server.events.read()
		for _, e := range all {
			if e.Revision <= after || e.Time.Before(q.Since) || !q.Until.IsZero() && e.Time.After(q.Until) {
				continue
			}
			after = e.Revision
			if !q.Match(e) {
				continue
			}
			if err := stream.Send(&apiserverv1.EventsResponse{Event: apiwire.EventToProto(e)}); err != nil {
				return err
			}
			if e.Action == event.ActionStop {
				return fmt.Errorf("events: patchbayd is going down; go on from revision %d when it is back: %w", after, errdefs.ErrUnavailable)
			}
		}
		if !q.Until.IsZero() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Trace tells of one span of whatever is asked, and of another one that goes on.
func (s fakeSystem) Trace(_ context.Context, stream apiserverv1connect.SystemServiceTraceServerStream) error {
	r, err := stream.Receive()
	if err != nil {
		return err
	}
	s.server.record("System.Trace", &apiserverv1.TraceRequest{Allocations: r.GetAllocations()}) // the id is made up
	if err := stream.Send(&apiserverv1.TraceResponse{}); err != nil {
		return err
	}
	span := &apiserverv1.Span{
		TraceId: cmp.Or(r.GetTraceId(), "4bf92f3577b34da6a3ce929d0e0e4736"), SpanId: "00f067aa0ba902b7",
		Name: "Start", Process: "patchbayd", Pid: 1, Kind: "serve", Start: message.NewTimestamp(time.Now()),
	}
	if err := stream.Send(&apiserverv1.TraceResponse{Span: span}); err != nil {
		return err
	}
	span.Duration = message.NewDuration(time.Millisecond)
	if err := stream.Send(&apiserverv1.TraceResponse{Span: span}); err != nil {
		return err
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the end of the requests: %w", err)
	}
	return stream.Send(&apiserverv1.TraceResponse{Lost: 3})
}
