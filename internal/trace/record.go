package trace

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
)

// ID names a trace: all that one operation consists of.
type ID [16]byte

// SpanID names a span.
type SpanID [8]byte

// String returns an id as lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// String returns an id as lower-case hexadecimal digits.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (id SpanID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; 32 digits.
func (id *ID) UnmarshalText(text []byte) error { return decode(id[:], text) }

// UnmarshalText implements encoding.TextUnmarshaler; 16 digits.
func (id *SpanID) UnmarshalText(text []byte) error { return decode(id[:], text) }

func decode(id, text []byte) error {
	if len(text) != hex.EncodedLen(len(id)) {
		return fmt.Errorf("id %q: want %d hexadecimal digits: %w", text, hex.EncodedLen(len(id)), errdefs.ErrInvalidArgument)
	}
	if _, err := hex.Decode(id, text); err != nil {
		return fmt.Errorf("id %q: %w: %w", text, err, errdefs.ErrInvalidArgument)
	}
	return nil
}

// Kind says what a span is of.
type Kind string

// The kinds of spans.
const (
	Inside  Kind = ""        // a step of the process that the span around it is of
	Call    Kind = "call"    // of another process, as its caller sees it
	Serve   Kind = "serve"   // the same, as the process that is called sees it
	Program Kind = "program" // a process, from its beginning on
	Life    Kind = "life"    // of something that was started, and may last: nobody waits for its end
)

// Record is what is told of a span. Its JSON form is what processes send, one in a
// message.
type Record struct {
	Trace   ID     `json:"trace"`
	Span    SpanID `json:"span"`
	Parent  SpanID `json:"parent,omitzero"` // zero: none
	Name    string `json:"name"`
	Process string `json:"process"` // name of the program
	PID     int    `json:"pid,omitempty"`
	Kind    Kind   `json:"kind,omitempty"`
	// Start is in nanoseconds since 1970, by the clock of the host.
	Start    int64         `json:"start"`
	Ended    bool          `json:"ended,omitempty"`    // with the fields below
	Duration time.Duration `json:"duration,omitempty"` // in nanoseconds
	Error    string        `json:"error,omitempty"`
	// Allocated is how many bytes the process has allocated since its start, up to
	// the beginning or the end of the span. 0: not asked for.
	Allocated uint64            `json:"allocated,omitempty"`
	Notes     map[string]string `json:"notes,omitempty"`
}
