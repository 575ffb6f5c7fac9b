package vm

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/yamux"
)

// A guest that has answered and then stands still is given up, for another to be booted.
func TestAGuestThatStandsStillIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		silent := yamux.DefaultConfig()
		silent.LogOutput, silent.EnableKeepAlive = io.Discard, false
		guest, err := yamux.Server(theirs, silent)
		if err != nil {
			t.Fatal(err)
		}
		session, err := yamux.Client(ours, silent)
		if err != nil {
			t.Fatal(err)
		}
		e := &Engine{session: session}
		late := notRestored(restoreTimeout)
		if err := e.settle(t.Context(), restoreTimeout, late); !errors.Is(err, late) {
			t.Errorf("error %v, want %v", err, late)
		}
		e.calls.Close()
		if err := errors.Join(session.Close(), guest.Close()); err != nil {
			t.Error(err)
		}
	})
}
