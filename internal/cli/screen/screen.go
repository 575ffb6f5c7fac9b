// Package screen shows one text after the other: on a terminal each in the place of
// the one before it, else below it.
package screen

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"patchbay.dev/patchbay/internal/cli/terminal"
)

// Screen shows texts. Its methods are for one goroutine at a time.
type Screen struct {
	out   io.Writer
	size  func() (width, height int) // 0: not known; nil: it is no terminal
	drawn int                        // lines of the text that is shown
	width int                        // of the terminal when it was drawn
	any   bool                       // something was shown
}

// New returns a screen on w.
func New(w io.Writer) *Screen {
	s := &Screen{out: w}
	if f, ok := w.(*os.File); ok && terminal.Is(f) {
		s.size = func() (int, int) {
			width, height, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 0, 0
			}
			return width, height
		}
	}
	return s
}

// Control sequences of ECMA-48, which all terminals know.
const (
	up          = "\x1b[%dA"
	eraseLine   = "\x1b[K" // from the cursor on
	eraseScreen = "\x1b[J" // from the cursor on
	clearAll    = "\x1b[H\x1b[J"
)

// Show shows a text of whole lines. On a terminal it is one write, so that nobody
// sees half of it; what does not fit is left out, and the last line says how much.
func (s *Screen) Show(text string) error {
	if s.size == nil {
		if s.any {
			text = "\n" + text
		}
		s.any = true
		_, err := io.WriteString(s.out, text)
		return err
	}
	width, height := s.size()
	lines := fit(strings.Split(strings.TrimSuffix(text, "\n"), "\n"), width, height)
	var b bytes.Buffer
	switch {
	case s.any && width != s.width:
		b.WriteString(clearAll) // lines that were drawn have been broken anew
	case s.drawn > 0:
		fmt.Fprintf(&b, up, s.drawn)
	}
	for _, line := range lines {
		b.WriteString("\r" + line + eraseLine + "\n")
	}
	b.WriteString(eraseScreen)
	s.drawn, s.width, s.any = len(lines), width, true
	_, err := s.out.Write(b.Bytes())
	return err
}

// Close leaves the last text, and the cursor at the start of an empty line: what
// the terminal echoed of Ctrl-C is erased.
func (s *Screen) Close() error {
	if s.size == nil || !s.any {
		return nil
	}
	_, err := io.WriteString(s.out, "\r"+eraseLine)
	return err
}

// fit cuts lines to the size of a terminal, whose last line is for the cursor.
func fit(lines []string, width, height int) []string {
	if room := height - 1; height > 1 && len(lines) > room {
		left := len(lines) - room + 1
		lines = append(lines[:room-1:room-1], fmt.Sprintf("… %d more", left))
	}
	for i, line := range lines {
		if r := []rune(line); width > 0 && len(r) > width {
			lines[i] = string(r[:width])
		}
	}
	return lines
}
