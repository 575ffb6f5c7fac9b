// Package form is what tests and the probe in a container say to each other: a line of
// JSON for each request, and one for each answer.
package form

import (
	"net/netip"
	"time"
)

// The things that a probe does.
const (
	// Frame puts Data on Interface as it is. The answer comes when it is sent.
	Frame = "frame"
	// Exchange connects to Address, sends Data, and answers with what comes back: a
	// datagram, or all until the other side closes. It may take Within.
	Exchange = "exchange"
	// Listen has every caller of Address be told Data. The answer comes when it
	// listens, and a further one for each caller, with From.
	Listen = "listen"
	// Capture copies what leaves by any interface from its answer on.
	Capture = "capture"
	// Captured answers with the packets that have left since Capture or the last
	// Captured: an answer for each, with From, Interface and Data, then one without.
	Captured = "captured"
)

// Request asks for one thing.
type Request struct {
	ID        int    // of the answers
	Do        string // one of the above
	Interface string `json:",omitempty"`
	Network   string `json:",omitempty"` // "tcp" or "udp"
	Address   string `json:",omitempty"` // with a port
	// Shared has Listen share its port with others that do.
	Shared bool          `json:",omitempty"`
	Within time.Duration `json:",omitempty"` // 0: a minute
	Data   []byte        `json:",omitempty"`
}

// Answer is what came of a request.
type Answer struct {
	ID        int            // of the request
	Error     string         `json:",omitempty"` // why it could not be done
	From      netip.AddrPort `json:",omitzero"`
	Interface string         `json:",omitempty"`
	Data      []byte         `json:",omitempty"`
}
