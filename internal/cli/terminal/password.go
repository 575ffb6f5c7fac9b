package terminal

import (
	"context"
	"os"

	"golang.org/x/term"
)

// ReadPassword reads a line that the terminal does not show. Its error is ctx's when that ends
// before; what is typed is shown again then, but whoever reads the terminal next shares the
// line that is being typed with a reader that is left behind.
func ReadPassword(ctx context.Context, f *os.File) (string, error) {
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return string(l.text), l.err
	case <-ctx.Done():
		if err := term.Restore(fd, before); err != nil {
			return "", err
		}
		return "", ctx.Err()
	}
}
