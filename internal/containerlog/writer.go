package containerlog

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxData is the longest piece of a line in one entry.
const maxData = 16 << 10

// Writer appends to a log file. It is safe for concurrent use.
type Writer struct {
	file *os.File
	mu   sync.Mutex
	buf  []byte // guarded by mu; reused from write to write
}

// Create opens the log file at path for appending and makes it where it is not
// there. A line that an earlier writer died in the middle of is ended, so that
// it costs no further entry.
func Create(path string) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("container log: %w", err)
	}
	w := &Writer{file: f}
	if err := w.endBrokenLine(); err != nil {
		f.Close()
		return nil, fmt.Errorf("container log %s: %w", path, err)
	}
	return w, nil
}

func (w *Writer) endBrokenLine() error {
	info, err := w.file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := w.file.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = w.file.Write([]byte{'\n'})
	return err
}

// Stream returns the writer of one of the two output streams.
func (w *Writer) Stream(stderr bool) io.Writer { return stream{w, stderr} }

// Close closes the file. Nothing is buffered.
func (w *Writer) Close() error { return w.file.Close() }

type stream struct {
	w      *Writer
	stderr bool
}

// Write appends p, split into lines, by one write(2).
func (s stream) Write(p []byte) (int, error) {
	now := time.Now()
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.buf = s.w.buf[:0]
	for rest := p; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			n = len(rest)
		}
		n = min(n, maxData)
		s.w.buf = appendEntry(s.w.buf, Entry{Time: now, Stderr: s.stderr, Data: rest[:n]})
		rest = rest[n:]
	}
	if _, err := s.w.file.Write(s.w.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}
