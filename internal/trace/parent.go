package trace

import (
	"bytes"
	"context"
	"os"
	"strings"
)

// The headers of calls, and the variables of processes that are started, which say
// what trace they are part of (W3C Trace Context).
const (
	ParentHeader   = "Traceparent"
	StateHeader    = "Tracestate"
	parentVariable = "TRACEPARENT"
	stateVariable  = "TRACESTATE"
)

// allocationsState is our member of tracestate.
const allocationsState = "patchbay=allocations"

// Parent is what says to a process which trace it is part of. The zero Parent is
// of none.
type Parent struct {
	Trace ID
	Span  SpanID
	// Allocations asks for Record.Allocated.
	Allocations bool
}

// Header returns the value of ParentHeader: version 00, sampled.
func (p Parent) Header() string { return "00-" + p.Trace.String() + "-" + p.Span.String() + "-01" }

// State returns the value of StateHeader; empty: none is needed.
func (p Parent) State() string {
	if p.Allocations {
		return allocationsState
	}
	return ""
}

// Environment returns the variables that say to a program which trace its start is
// part of; none for the zero Parent.
func (p Parent) Environment() []string {
	if p.Trace == (ID{}) {
		return nil
	}
	out := []string{parentVariable + "=" + p.Header()}
	if state := p.State(); state != "" {
		out = append(out, stateVariable+"="+state)
	}
	return out
}

// ParseParent reads the values of both headers. What is missing, malformed, or not
// to be recorded is the zero Parent, as the specification wants it: a trace is
// no reason for a call to fail.
func ParseParent(header, state string) (p Parent) {
	const digits = len("00-") + 32 + len("-") + 16 + len("-") + 2
	if len(header) < digits || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return Parent{}
	}
	version, flags := header[:2], header[53:55]
	switch {
	case version == "ff", version == "00" && len(header) != digits, len(header) > digits && header[digits] != '-':
		return Parent{}
	}
	var flag, ignored [1]byte
	if decode(p.Trace[:], []byte(header[3:35])) != nil || decode(p.Span[:], []byte(header[36:52])) != nil ||
		decode(flag[:], []byte(flags)) != nil || decode(ignored[:], []byte(version)) != nil ||
		bytes.ContainsAny([]byte(header[:digits]), "ABCDEF") ||
		p.Trace == (ID{}) || p.Span == (SpanID{}) || flag[0]&1 == 0 {
		return Parent{}
	}
	for member := range strings.SplitSeq(state, ",") {
		if strings.TrimSpace(member) == allocationsState {
			p.Allocations = true
		}
	}
	return p
}

// ParentFromEnvironment returns what the environment of this process says.
func ParentFromEnvironment() Parent {
	return ParseParent(os.Getenv(parentVariable), os.Getenv(stateVariable))
}

// Environment is that of the span of ctx.
func Environment(ctx context.Context) []string { return Current(ctx).Parent().Environment() }
