package plain

import (
	"bytes"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"

	"patchbay.dev/patchbay/internal/trace"
)

// request is the head of a plain call.
type request struct {
	spec          connect.Spec
	size          int // of the head, in bytes
	length        int // of what follows
	timeout       time.Duration
	limited       bool // it has a timeout
	parent, state string
}

const (
	codec         = "proto"
	unaryContent  = "application/" + codec
	streamContent = "application/connect+" + codec
	// maxLength is how long what follows the head may be, in bytes.
	maxLength = 1 << 20
)

// What parse says of bytes.
type verdict int

const (
	incomplete verdict = iota // more has to be read
	plain
	other // it is no plain call, whatever follows
)

// parse reads the head of a request. What it takes as plain is less than HTTP allows, and is
// read by all servers alike.
func (s *Server) parse(b []byte) (r request, v verdict) {
	line, size, v := nextLine(b)
	if v != plain {
		return r, v
	}
	procedure, ok := bytes.CutPrefix(line, []byte("POST "))
	procedure, last := bytes.CutSuffix(procedure, []byte(" HTTP/1.1"))
	spec, known := s.specs[string(procedure)]
	if !ok || !last || !known {
		return r, other
	}
	h := header{request: request{spec: spec, length: -1}}
	for {
		line, n, v := nextLine(b[size:])
		if v != plain {
			return r, v
		}
		if size += n; len(line) == 0 {
			break
		}
		if !h.add(line) {
			return r, other
		}
	}
	want := unaryContent
	if spec.StreamType == connect.StreamTypeServer {
		want = streamContent
	}
	if h.host == "" || h.version != "1" || h.content != want || h.length < 0 {
		return r, other
	}
	h.size = size
	return h.request, plain
}

// nextLine returns a line without its end, and how long it is with that.
func nextLine(b []byte) (line []byte, size int, v verdict) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return nil, 0, incomplete
	}
	if line, ok := bytes.CutSuffix(b[:end], []byte("\r")); ok {
		return line, end + 1, plain
	}
	return nil, 0, other
}

// header is what the lines after the first say.
type header struct {
	request
	host, version, content, milliseconds string
}

// add takes a line; false: it is not one of a plain call.
func (h *header) add(line []byte) bool {
	name, value, ok := bytes.Cut(line, []byte(": "))
	if !ok || !printable(value) {
		return false
	}
	switch string(name) {
	case "Host":
		return string(value) == "patchbay" && once(&h.host, "patchbay")
	case "Content-Type":
		return once(&h.content, string(value))
	case "Connect-Protocol-Version":
		return once(&h.version, string(value))
	case "Connect-Timeout-Ms":
		n, ok := number(value, 10)
		h.limited, h.timeout = true, time.Duration(n)*time.Millisecond
		return ok && once(&h.milliseconds, "set")
	case "Content-Length":
		n, ok := number(value, 7)
		ok = ok && h.length < 0 && n <= maxLength
		h.length = n
		return ok
	case trace.ParentHeader:
		return once(&h.parent, string(value))
	case trace.StateHeader:
		return once(&h.state, string(value))
	}
	return false
}

// once sets what was not set before.
func once(to *string, value string) bool {
	first := *to == ""
	*to = value
	return first && value != ""
}

// number reads digits, of which there are some.
func number(b []byte, most int) (n int, ok bool) {
	if len(b) == 0 || len(b) > most || b[0] == '+' || b[0] == '-' {
		return 0, false
	}
	n, err := strconv.Atoi(string(b))
	return n, err == nil
}

// printable says that a value has nothing in it that is to be looked at twice: control
// characters, other bytes than ASCII, or blanks around it.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(bytes.TrimSpace(b)) == len(b)
}
