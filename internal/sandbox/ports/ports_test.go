package ports

import (
	"context"
	"net"
	"runtime"
	"testing"
)

// A process that began with one processor has all from the first connection on that it
// passes on, and not before.
func TestOnAllProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	if before == 1 {
		t.Skip("there is one processor")
	}
	runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	var during []int
	dial := onAllProcessors(func(context.Context, string, string) (net.Conn, error) {
		during = append(during, runtime.GOMAXPROCS(0))
		return nil, nil
	})
	if got := runtime.GOMAXPROCS(0); got != 1 {
		t.Errorf("before the first connection: %d processors, want 1", got)
	}
	for range 2 {
		_, _ = dial(t.Context(), "tcp", "")
	}
	for i, got := range during {
		if got < 2 {
			t.Errorf("connection %d: %d processors, want all", i, got)
		}
	}
}
