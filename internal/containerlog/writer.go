package containerlog

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"patchbay.dev/patchbay/resource"
)

// maxData is the longest piece of a line in one entry.
const maxData = 16 << 10

// Writer appends to a log file. It is safe for concurrent use.
type Writer struct {
	path   string
	limits resource.LogLimits

	mu   sync.Mutex
	file *os.File // guarded by mu
	size int64    // guarded by mu
	buf  []byte   // guarded by mu; reused from write to write
}

// Create opens the log file at path for appending and makes it where it is not
// there. A line that an earlier writer died in the middle of is ended, so that
// it costs no further entry. A file that the next entry would make too long is set
// aside before, as path.1, and those set aside before that as path.2 and so on; what
// is older than the limits allow is removed. Limits that are zero are none.
func Create(path string, limits resource.LogLimits) (*Writer, error) {
	w := &Writer{path: path, limits: limits}
	if err := w.open(); err != nil {
		return nil, err
	}
	if w.isLimited() {
		removeFrom(path, max(limits.MaxFiles, 1))
	}
	return w, nil
}

func (w *Writer) open() error {
	f, err := os.OpenFile(w.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("container log: %w", err)
	}
	w.file = f
	if err = w.endBrokenLine(); err == nil {
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			w.size = info.Size()
			return nil
		}
	}
	f.Close()
	return fmt.Errorf("container log %s: %w", w.path, err)
}

func (w *Writer) isLimited() bool { return w.limits.MaxBytes > 0 }

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
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.file.Close()
}

type stream struct {
	w      *Writer
	stderr bool
}

// Write appends p, split into lines, by one write(2) for each file that they go into.
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
		before := len(s.w.buf)
		s.w.buf = appendEntry(s.w.buf, Entry{Time: now, Stderr: s.stderr, Data: rest[:n]})
		rest = rest[n:]
		if s.w.isFullWith(len(s.w.buf)) {
			if err := s.w.flush(before); err != nil {
				return 0, err
			}
			s.w.rotate()
		}
	}
	if err := s.w.flush(len(s.w.buf)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush writes the first n bytes of buf and removes them from it.
func (w *Writer) flush(n int) error {
	if n == 0 {
		return nil
	}
	written, err := w.file.Write(w.buf[:n])
	w.size += int64(written)
	w.buf = w.buf[:copy(w.buf, w.buf[n:])]
	return err
}

// isFullWith reports whether n bytes more would make the file too long.
func (w *Writer) isFullWith(n int) bool {
	return w.isLimited() && w.size+int64(n) > w.limits.MaxBytes
}

// rotate sets the file aside, if there is anything in it. Where that cannot be done it
// grows: what a process writes is worth more than the limit.
func (w *Writer) rotate() {
	if w.size == 0 || setAside(w.path, max(w.limits.MaxFiles, 1)) != nil {
		return
	}
	former := w.file
	if err := w.open(); err != nil {
		w.file = former // which readers find as the youngest that was set aside
		return
	}
	_ = former.Close() // nothing is buffered
}
