package vm

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
)

// A guest that has answered and then stands still is given up, for another to be booted.
func TestAGuestThatStandsStillIsGivenUp(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe() // not of a synctest bubble: yamux shares timers between sessions
	silent := yamux.DefaultConfig()
	silent.LogOutput, silent.EnableKeepAlive, silent.StreamCloseTimeout = io.Discard, false, 0
	guest, err := yamux.Server(theirs, silent)
	if err != nil {
		t.Fatal(err)
	}
	session, err := yamux.Client(ours, silent)
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{session: session}
	const limit = 20 * time.Millisecond
	late := notRestored(limit)
	if err := e.settle(t.Context(), limit, late); !errors.Is(err, late) {
		t.Errorf("error %v, want %v", err, late)
	}
	e.calls.Close()
	if err := errors.Join(session.Close(), guest.Close()); err != nil {
		t.Error(err)
	}
}
