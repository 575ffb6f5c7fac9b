package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/fsnotify/fsnotify"
)

// daemonLog is the log file, from where this start of patchbayd begins.
type daemonLog struct {
	*os.File
	start int64
}

func openLog(path string) (*daemonLog, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, fmt.Errorf("log of patchbayd: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of patchbayd: %w", err)
	}
	start, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("log of patchbayd: %w", err)
	}
	return &daemonLog{File: file, start: start}, nil
}

// failure returns an error with the last words of the log, a line for each.
func (l *daemonLog) failure(what string, cause error) error {
	written, err := io.ReadAll(io.NewSectionReader(l.File, l.start, maxLog))
	text := strings.TrimSpace(string(written))
	why := ""
	if cause != nil {
		why = " (" + cause.Error() + ")"
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s%s; its log: %w", what, why, err)
	case text == "":
		return fmt.Errorf("%s%s, without a word in %s: %w", what, why, l.Name(), errdefs.ErrUnavailable)
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-lastWords):]
	return fmt.Errorf("%s%s; its last words:\n%s", what, why, strings.Join(lines, "\n"))
}

// LogOptions say which part of a log to read.
type LogOptions struct {
	Tail   int64 // last lines; negative: all
	Follow bool  // go on until the context ends
}

// ReadLog copies a text log to out. An ended context is no error when
// following.
func ReadLog(ctx context.Context, out io.Writer, path string, o LogOptions) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := seekTail(file, o.Tail); err != nil {
		return fmt.Errorf("log %s: %w", path, err)
	}
	if !o.Follow {
		_, err := io.Copy(out, file)
		return err
	}
	// Watch first, so that nothing written before is missed.
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("log %s: watch: %w", path, err)
	}
	defer func() { _ = watcher.Close() }()
	if err := watcher.Add(path); err != nil {
		return fmt.Errorf("log %s: watch: %w", path, err)
	}
	for {
		if _, err := io.Copy(out, file); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-watcher.Events:
			if !ok || event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
				return nil
			}
		case err := <-watcher.Errors:
			if err != nil && !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("log %s: watch: %w", path, err)
			}
		}
	}
}

// seekTail moves to the start of the last lines of a file. It reads backwards,
// so that a long log costs no more than what is shown.
func seekTail(file *os.File, lines int64) error {
	if lines < 0 {
		return nil
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil || lines == 0 {
		return err
	}
	const block = 64 << 10
	buffer := make([]byte, block)
	// A line feed at the very end ends the last line; it starts none.
	seen := int64(-1)
	for position := end; position > 0; {
		size := min(block, position)
		position -= size
		if _, err := file.ReadAt(buffer[:size], position); err != nil {
			return err
		}
		if position+size == end && buffer[size-1] != '\n' {
			seen = 0
		}
		for i := bytes.LastIndexByte(buffer[:size], '\n'); i >= 0; i = bytes.LastIndexByte(buffer[:i], '\n') {
			if seen++; seen == lines {
				_, err := file.Seek(position+int64(i)+1, io.SeekStart)
				return err
			}
		}
	}
	_, err = file.Seek(0, io.SeekStart)
	return err
}
