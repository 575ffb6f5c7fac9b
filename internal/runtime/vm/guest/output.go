package guest

import (
	"errors"
	"io"
	"os"
	"time"

	"patchbay.dev/patchbay/internal/stdio"
)

const (
	chunk = 32 << 10 // passed on at once
	// mostHeld is what a pipe holds at most: /proc/sys/fs/pipe-max-size of pipe(7). A
	// terminal holds less.
	mostHeld = 1 << 20
)

// output is the way of what is written to a pipe or a terminal. It lasts as long as
// somebody has that open, which may be longer than the process that it was made for.
type output struct {
	from   *os.File
	to     io.WriteCloser
	passed chan struct{} // closed when settle need not wait any more
}

// passOn passes output on to its end, and closes both then. A terminal ends with EIO.
func passOn(to io.WriteCloser, from *os.File) *output {
	o := &output{from: from, to: to, passed: make(chan struct{})}
	go o.run()
	return o
}

// settle returns when all that is there has been passed on, or nobody takes it any
// more. It is called once, at the end of the process.
func (o *output) settle() {
	// The read that waits ends by it.
	if o.from.SetReadDeadline(time.Unix(1, 0)) == nil {
		<-o.passed
	}
}

func (o *output) run() {
	settled := false
	defer func() {
		_ = o.to.Close() // the host may be gone
		o.from.Close()
		if !settled {
			close(o.passed)
		}
	}()
	buf := make([]byte, chunk)
	for {
		n, err := o.from.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			settled = true
			err = o.catchUp(buf)
			close(o.passed)
		} else if n > 0 {
			if _, failed := o.to.Write(buf[:n]); failed != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// catchUp passes on what is there without waiting for more. Others may go on to write: it is
// enough when all of a pipe's content has been passed on once.
func (o *output) catchUp(buf []byte) error {
	for all := 0; all < mostHeld; {
		n := stdio.ReadNow(o.from, buf)
		if n == 0 {
			break
		}
		if _, err := o.to.Write(buf[:n]); err != nil {
			return err
		}
		all += n
	}
	return o.from.SetReadDeadline(time.Time{})
}
