package containerlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// ReadOptions choose what Read returns.
type ReadOptions struct {
	// Tail is the number of last lines to begin with; negative means all.
	Tail int64
	// Since leaves out what is older.
	Since time.Time
	// Follow nil: return at the end of the file. Else go on with what is
	// appended until Follow is closed, which says that the writer has
	// ended, and what was written before has been read.
	Follow <-chan struct{}
}

// Read calls f for each chosen entry of the log at path and of the files that were set
// aside before it, in order, and returns f's error, or that of ctx. A file that does
// not exist is an empty log. Lines
// that are not entries, such as one a writer died in the middle of, are left
// out.
func Read(ctx context.Context, path string, o ReadOptions, f func(Entry) error) error {
	var changes *fsnotify.Watcher
	if o.Follow != nil {
		w, err := watch(path)
		if err != nil {
			return err
		}
		defer w.Close()
		changes = w
	}
	r := &reader{path: path, options: o, f: f}
	defer r.close()
	for {
		if err := r.drain(ctx); err != nil || changes == nil {
			return err
		}
		ended, err := r.wait(ctx, changes)
		if err != nil {
			return err
		}
		if ended {
			return r.drain(ctx)
		}
	}
}

// watch reports changes of the files in path's directory: the log may not
// exist yet.
func watch(path string) (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, followFault(path, err)
	}
	if err := w.Add(filepath.Dir(path)); err != nil {
		w.Close()
		return nil, followFault(path, err)
	}
	return w, nil
}

// followFault says which limit of inotify(7) has been met, for the kernel's words do
// not.
func followFault(path string, err error) error {
	for errno, setting := range map[unix.Errno]string{
		unix.EMFILE: "fs.inotify.max_user_instances",
		unix.ENOSPC: "fs.inotify.max_user_watches",
	} {
		if errors.Is(err, errno) {
			return fmt.Errorf("follow %s: the host allows no further watch of files: raise %s (sysctl): %w: %w", path, setting, errdefs.ErrResourceExhausted, err)
		}
	}
	return fmt.Errorf("follow %s: %w", path, err)
}

type reader struct {
	path    string
	options ReadOptions
	f       func(Entry) error

	files   []*os.File // the one that is read, and those that come after it
	buf     *bufio.Reader
	partial []byte // of a line whose end is not written yet
}

func (r *reader) close() { closeAll(r.files) }

// wait returns when the log may have grown, or true when the writer has ended.
func (r *reader) wait(ctx context.Context, changes *fsnotify.Watcher) (ended bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-r.options.Follow:
			return true, nil
		case err := <-changes.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return false, fmt.Errorf("follow %s: %w", r.path, err)
			}
			return false, nil // events were lost: look
		case e := <-changes.Events:
			if filepath.Base(e.Name) == filepath.Base(r.path) {
				return false, nil
			}
		}
	}
}

// drain reads to the present end of the log.
func (r *reader) drain(ctx context.Context) error {
	if len(r.files) == 0 {
		if err := r.open(); err != nil || len(r.files) == 0 {
			return err
		}
	}
	for {
		if err := r.drainFile(ctx); err != nil {
			return err
		}
		if len(r.files) > 1 {
			r.next()
			continue
		}
		newer, err := newerThan(r.path, r.files[0])
		if err != nil || len(newer) == 0 {
			return err
		}
		// What was written before it was set aside may not have been read yet.
		r.files = append(r.files, newer...)
	}
}

// next goes on to the next file. A line has its end in the file it begins in.
func (r *reader) next() {
	r.files[0].Close()
	r.files = r.files[1:]
	r.buf, r.partial = bufio.NewReader(r.files[0]), r.partial[:0]
}

// drainFile reads to the present end of the file.
func (r *reader) drainFile(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := r.buf.ReadSlice('\n')
		r.partial = append(r.partial, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("container log: %w", err)
		}
		e, ok := parseEntry(r.partial)
		r.partial = r.partial[:0]
		if !ok || e.Time.Before(r.options.Since) {
			continue
		}
		if err := r.f(e); err != nil {
			return err
		}
	}
}

// open opens the files, if there are any yet, at the place where the tail begins.
func (r *reader) open() error {
	files, err := newerThan(r.path, nil)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		r.options.Tail = -1 // all that comes is new
		return nil
	}
	r.files = files
	if r.options.Tail >= 0 {
		if err := r.seekTail(); err != nil {
			return fmt.Errorf("container log %s: %w", r.path, err)
		}
	}
	r.buf = bufio.NewReader(r.files[0])
	return nil
}

// seekTail goes to where the last lines of output begin, and closes the files before
// that. An unfinished last line counts as a line.
func (r *reader) seekTail() error {
	want := lastLines{n: r.options.Tail}
	place := len(r.files) - 1
	start, err := want.startIn(r.files[place])
	for err == nil && !want.found && place > 0 {
		place--
		start, err = want.startIn(r.files[place])
	}
	if err != nil {
		return err
	}
	closeAll(r.files[:place])
	r.files = r.files[place:]
	_, err = r.files[0].Seek(start, io.SeekStart)
	return err
}

// lastLines looks for the beginning of the last n lines, from the youngest file to
// the oldest.
type lastLines struct {
	n, seen int64
	begun   bool // an entry has been met
	found   bool // the lines begin in the file that was looked at last
}

// startIn returns where the lines begin, as far as this file has them.
func (l *lastLines) startIn(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	start := info.Size()
	if l.n == 0 {
		l.found = true
		return start, nil
	}
	err = backwards(f, start, func(line []byte, offset int64) bool {
		e, ok := parseEntry(line)
		if !ok {
			return true
		}
		if e.Complete() || !l.begun {
			l.seen++
		}
		l.begun = true
		if l.seen > l.n {
			l.found = true
			return false
		}
		start = offset
		return true
	})
	return start, err
}

// backwards calls f with the lines of a file from the last to the first, and
// where each begins, until f returns false.
func backwards(file *os.File, end int64, f func(line []byte, offset int64) bool) error {
	const block = 64 << 10
	var rest []byte // from the beginning of the part read so far, without a newline before it
	for pos := end; pos > 0; {
		n := min(block, pos)
		pos -= n
		chunk := make([]byte, n, n+int64(len(rest)))
		if _, err := file.ReadAt(chunk, pos); err != nil {
			return err
		}
		rest = append(chunk, rest...)
		for {
			i := bytes.LastIndexByte(bytes.TrimSuffix(rest, []byte{'\n'}), '\n')
			if i < 0 {
				break
			}
			if !f(rest[i+1:], pos+int64(i)+1) {
				return nil
			}
			rest = rest[:i+1]
		}
	}
	if len(rest) > 0 {
		f(rest, 0)
	}
	return nil
}
