// Package containerlog is the log file of a container's main process: one JSON
// object a line, written by the runtime helper, read by patchbayd.
//
//	{"time":"2026-01-02T15:04:05.123456789Z","stream":"stdout","data":"hello\n"}
//
// An entry is one line of output with its newline, or a part of a line when the
// process wrote a part or a line is longer than 16 KiB. Output that is not UTF-8
// is kept byte for byte as base64 in "bytes" in place of "data".
package containerlog

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Entry is a piece of output.
type Entry struct {
	Time   time.Time // when the helper read it
	Stderr bool
	Data   []byte // a whole line with its newline, else a part of one
}

// Complete reports whether the entry ends a line.
func (e Entry) Complete() bool { return len(e.Data) > 0 && e.Data[len(e.Data)-1] == '\n' }

// The values of the stream field.
const (
	stdout = "stdout"
	stderr = "stderr"
)

// record is the stored form of an Entry.
type record struct {
	Time   time.Time `json:"time"`
	Stream string    `json:"stream"`
	Data   string    `json:"data,omitempty"`
	Bytes  []byte    `json:"bytes,omitempty"`
}

// appendEntry appends the line of e to b.
func appendEntry(b []byte, e Entry) []byte {
	r := record{Time: e.Time.UTC(), Stream: stdout}
	if e.Stderr {
		r.Stream = stderr
	}
	if utf8.Valid(e.Data) {
		r.Data = string(e.Data)
	} else {
		r.Bytes = e.Data
	}
	line, err := json.Marshal(r)
	if err != nil { // a year beyond 9999
		panic(fmt.Sprintf("log entry of %v: %v", e.Time, err))
	}
	return append(append(b, line...), '\n')
}

// parseEntry reads one line. A line that a writer died in the middle of is not
// an entry.
func parseEntry(line []byte) (Entry, bool) {
	var r record
	if json.Unmarshal(line, &r) != nil || (r.Stream != stdout && r.Stream != stderr) {
		return Entry{}, false
	}
	e := Entry{Time: r.Time, Stderr: r.Stream == stderr, Data: r.Bytes}
	if e.Data == nil {
		e.Data = []byte(r.Data)
	}
	return e, true
}
