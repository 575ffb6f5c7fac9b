package sandbox

import (
	"context"
	"errors"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

// meter is an engine that counts.
type meter struct {
	*fakeEngine
	sample resource.Sample
}

func (m meter) Sample(context.Context) (resource.Sample, error) {
	return m.sample, m.call("sample")
}

func TestTrafficIsThatOfTheAttachments(t *testing.T) {
	t.Parallel()
	one, two := &resource.Traffic{Bytes: 1}, &resource.Traffic{Bytes: 2}
	got := traffic(
		[]resource.Attachment{
			{NetworkID: "1", Network: "web", InterfaceName: "eth0"},
			{NetworkID: "2", Network: "lan", InterfaceName: "wire"},
			{NetworkID: "3", Network: "gone", InterfaceName: "eth2"},
		},
		[]resource.AttachmentTraffic{
			{InterfaceName: "lo", Received: two, Sent: two},
			{InterfaceName: "wire", Received: two, Sent: one},
			{InterfaceName: "eth0", Received: one, Sent: two},
		})
	want := []resource.AttachmentTraffic{
		{NetworkID: "1", Network: "web", InterfaceName: "eth0", Received: one, Sent: two},
		{NetworkID: "2", Network: "lan", InterfaceName: "wire", Received: two, Sent: one},
		{NetworkID: "3", Network: "gone", InterfaceName: "eth2"}, // removed from inside
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Only a sandbox that there is has used something, and only a meter knows.
func TestStats(t *testing.T) {
	t.Parallel()
	s, e, _ := newFake(t)
	ctx := t.Context()
	wantError := func(when string, kind error) {
		t.Helper()
		if got, err := s.Stats(ctx); !errors.Is(err, kind) {
			t.Errorf("%s: %+v, %v, want %v", when, got, err, kind)
		}
	}
	wantError("before Bootstrap", errdefs.ErrFailedPrecondition)
	if _, err := s.Bootstrap(ctx, bootstrapped(e.dir)); err != nil {
		t.Fatal(err)
	}
	wantError("of an engine that does not count", errdefs.ErrNotImplemented)

	sent := &resource.Traffic{Packets: 3}
	measured := meter{e, resource.Sample{CPU: &resource.CPUUse{UsedNanoseconds: 7}, Attachments: []resource.AttachmentTraffic{{InterfaceName: "eth0", Sent: sent}}}}
	self := *s.self.Load()
	self.engine = measured
	s.self.Store(&self)
	got, err := s.Stats(ctx)
	if err != nil || got.CPU.UsedNanoseconds != 7 || got.Time.IsZero() || len(got.Attachments) != 1 || got.Attachments[0].Network != "a" || got.Attachments[0].Sent != sent {
		t.Errorf("stats %+v, %v", got, err)
	}
	e.fail = "sample"
	wantError("of an engine that fails", errFake)
	e.fail = ""
	e.main.end(0)
	<-s.Done()
	wantError("after the end", errdefs.ErrFailedPrecondition)
}
