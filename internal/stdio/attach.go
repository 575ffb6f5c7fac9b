package stdio

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/containerd/errdefs"
)

// Streams are a caller's ends of a process's standard streams; nil ones are not
// wanted. With a terminal all output comes by Stdout.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Attach connects streams to a process of the sandbox behind socket; an empty
// process is the main one. It returns how the process ended after all of its
// output has been written. The end of Stdin is passed on to the process. Ending
// ctx detaches: the process goes on.
//
// Errors are errdefs.ErrUnavailable when the helper is not there or went away
// before the process ended, errdefs.ErrNotFound for a process that is not
// there, ctx's, and those of writing to the streams. A goroutine that is blocked
// in Stdin's Read ends with that Read.
func Attach(ctx context.Context, socket, process string, s Streams) (Exit, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		if ctx.Err() != nil {
			return Exit{}, ctx.Err()
		}
		return Exit{}, fmt.Errorf("attach: the runtime helper does not answer at %s: %w: %w", socket, errdefs.ErrUnavailable, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	a := &attachment{conn: conn, streams: s}
	exit, err := a.run(process)
	if ctx.Err() != nil {
		return Exit{}, ctx.Err()
	}
	return exit, err
}

type attachment struct {
	conn    net.Conn
	streams Streams
	sending sync.Mutex // one frame at a time
}

func (a *attachment) send(f []byte) error {
	a.sending.Lock()
	defer a.sending.Unlock()
	_, err := a.conn.Write(f)
	return err
}

func (a *attachment) run(process string) (Exit, error) {
	lost := func(err error) (Exit, error) {
		return Exit{}, fmt.Errorf("attach: the session ended before the process did: %w: %w", errdefs.ErrUnavailable, err)
	}
	request := attachRequest{
		Process: process,
		Stdin:   a.streams.Stdin != nil,
		Stdout:  a.streams.Stdout != nil,
		Stderr:  a.streams.Stderr != nil,
	}
	if err := a.send(jsonFrame(frameAttach, request)); err != nil {
		return lost(err)
	}
	r := bufio.NewReaderSize(a.conn, chunk)
	var buf []byte
	for {
		kind, payload, grown, err := readFrame(r, buf)
		if err != nil {
			return lost(err)
		}
		buf = grown
		switch kind {
		case frameAttached:
			if a.streams.Stdin != nil {
				go a.copyStdin()
			}
		case frameRefused:
			return Exit{}, fmt.Errorf("%s: %w", payload, errdefs.ErrNotFound)
		case frameExit:
			var exit Exit
			if err := json.Unmarshal(payload, &exit); err != nil {
				return lost(err)
			}
			return exit, nil
		default:
			if err := a.output(kind, payload); err != nil {
				return Exit{}, err
			}
		}
	}
}

func (a *attachment) output(kind byte, payload []byte) error {
	w := a.streams.Stdout
	if kind == frameStderr {
		w = a.streams.Stderr
	}
	if w == nil || (kind != frameStdout && kind != frameStderr) {
		return nil // of a later version
	}
	if _, err := w.Write(payload); err != nil {
		return fmt.Errorf("attach: write output: %w", err)
	}
	return nil
}

// copyStdin passes input on until its end or that of the session, which the
// reading side reports.
func (a *attachment) copyStdin() {
	buf := make([]byte, chunk)
	for {
		n, err := a.streams.Stdin.Read(buf)
		if n > 0 {
			if a.send(frame(frameStdin, buf[:n])) != nil {
				return
			}
		}
		if err != nil {
			_ = a.send(frame(frameStdinClosed, nil))
			return
		}
	}
}
