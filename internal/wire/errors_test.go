package wire_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/wire"
)

// What is said around the error of a transport stays, and so does its code.
func TestStatusAroundAStatus(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"unavailable": fmt.Errorf("network a: hold: %w: %w", errdefs.ErrUnavailable, connect.NewError(connect.CodeUnknown, "dial")),
		"canceled":    fmt.Errorf("network a: hold: %w", connect.NewError(connect.CodeCanceled, "dial")),
	} {
		var got *connect.Error
		if !errors.As(wire.ErrorToStatus(err), &got) || got.Code().String() != name || !strings.HasPrefix(got.Message(), "network a: hold: ") {
			t.Errorf("%s: got %v", name, got)
		}
	}
	own := connect.NewError(connect.CodeNotFound, "no")
	if got := wire.ErrorToStatus(own); !errors.Is(got, own) || got.Error() != own.Error() {
		t.Errorf("a status as it is: got %v", got)
	}
}
