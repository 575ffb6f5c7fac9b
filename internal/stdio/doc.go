// Package stdio carries the standard streams of a sandbox's processes over the
// unix socket stdio.sock of its runtime helper. Both sides are here: Attach for
// callers, Server and Hub for the helper. Nobody stands between them, so an
// attached session outlives patchbayd.
//
// The protocol is a sequence of frames in both directions: one byte of type,
// four bytes of length (big endian), then so many bytes. The caller begins with
// an attach frame; the helper answers with attached or refused.
package stdio

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// The types of frames.
const (
	frameAttach      byte = 1 // caller: an attachRequest as JSON
	frameStdin       byte = 2 // caller: input
	frameStdinClosed byte = 3 // caller: end of input
	frameAttached    byte = 4 // helper: accepted
	frameRefused     byte = 5 // helper: no such process; text says so
	frameStdout      byte = 6 // helper: output
	frameStderr      byte = 7 // helper: output
	frameExit        byte = 8 // helper: an Exit as JSON; the last frame
)

// maxPayload bounds one frame's content, so that neither side can make the
// other allocate without end.
const maxPayload = 64 << 10

// chunk is how much is read at once; every frame of output is at most so long.
const chunk = 32 << 10

// Exit is how a process ended.
type Exit struct {
	Code    int    `json:"code"` // 128 + n for signal n
	Message string `json:"message,omitempty"`
}

type attachRequest struct {
	Process string `json:"process"` // "" is the main one
	Stdin   bool   `json:"stdin"`
	Stdout  bool   `json:"stdout"`
	Stderr  bool   `json:"stderr"`
}

// frame returns the wire form of a frame.
func frame(kind byte, payload []byte) []byte {
	b := make([]byte, 5, 5+len(payload))
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(len(payload)))
	return append(b, payload...)
}

// jsonFrame returns a frame of a value that always marshals.
func jsonFrame(kind byte, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("frame of %T: %v", v, err))
	}
	return frame(kind, b)
}

// readFrame reads one frame into buf, which it returns grown where needed. The
// payload is valid until the next call.
func readFrame(r io.Reader, buf []byte) (kind byte, payload, grown []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, buf, err
	}
	n := int(binary.BigEndian.Uint32(head[1:]))
	if n > maxPayload {
		return 0, nil, buf, fmt.Errorf("frame of %d bytes: want at most %d", n, maxPayload)
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		return 0, nil, buf, err
	}
	return head[0], buf[:n], buf, nil
}
