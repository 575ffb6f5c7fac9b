package system

import (
	"context"
	"io"
	"testing"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/output"
)

// asked keeps what it was asked.
type asked struct{ requests []*apiserverv1.InfoRequest }

func (a *asked) Info(_ context.Context, r *apiserverv1.InfoRequest) (*apiserverv1.InfoResponse, error) {
	a.requests = append(a.requests, r)
	return new(apiserverv1.InfoResponse), nil
}

// Only who shows the checks waits for them.
func TestWhoWaitsForChecks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		run  func(informer) error
		want bool
	}{
		"version": {func(i informer) error { return runVersion(t.Context(), i, io.Discard, output.FormatTable) }, false},
		"status":  {func(i informer) error { return runSystemStatus(t.Context(), i, io.Discard, output.FormatTable) }, false},
		"info":    {func(i informer) error { return runSystemInfo(t.Context(), i, io.Discard, output.FormatTable) }, true},
	} {
		var api asked
		if err := c.run(&api); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(api.requests) != 1 || api.requests[0].GetWithoutChecks() == c.want {
			t.Errorf("%s asked %v, want one request, with checks: %t", name, api.requests, c.want)
		}
	}
}
