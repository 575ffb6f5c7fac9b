package spans

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/trace"
)

// barWidth is how many characters stand for the time of a whole tree.
const barWidth = 24

// WriteTree writes a tree as text: a line for each span, with when it began, how long it
// took, where that is in the whole, and what it was. A call and what the called
// process makes of it are one line, with the time that the caller waited.
func WriteTree(w io.Writer, root *Span) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%8s %9s\n", "at ms", "ms")
	t := text{out: &b, from: root.Start, to: root.Last()}
	t.line(root, "", "", "")
	_, err := w.Write(b.Bytes())
	return err
}

type text struct {
	out      *bytes.Buffer
	from, to int64
}

func (t text) line(s *Span, process, own, below string) {
	call, name := s, s.Name
	if served := answer(s); served != nil {
		s = served
	}
	var words []string
	if s.Process != process {
		words = append(words, "→ "+s.Process)
		if process == "" {
			words[0] = "[" + s.Process + "]"
		}
	}
	if call != s && s.Ended && call.Ended {
		words = append(words, fmt.Sprintf("(+%.1f ms there and back)", milliseconds(int64(call.Duration-s.Duration))))
	}
	if n := noted(s); n != "" {
		words = append(words, n)
	}
	if n := noted(call); n != "" && call != s {
		words = append(words, n)
	}
	if spent := s.Spent(); spent > 0 {
		words = append(words, "allocated "+output.Size(int64(spent)))
	}
	if e := cmp.Or(call.Error, s.Error); e != "" {
		words = append(words, "failed: "+strings.ReplaceAll(e, "\n", "; "))
	}
	took := fmt.Sprintf("%.1f", milliseconds(int64(call.Duration)))
	if !call.Ended {
		took = "goes on"
	}
	fmt.Fprintf(t.out, "%8.1f %9s %s %s\n", milliseconds(call.Start-t.from), took, t.bar(call),
		own+output.Printable(strings.Join(append([]string{name}, words...), " ")))
	for i, b := range s.Below {
		if i == len(s.Below)-1 {
			t.line(b, s.Process, below+"└─ ", below+"   ")
		} else {
			t.line(b, s.Process, below+"├─ ", below+"│  ")
		}
	}
}

// answer is what the called process makes of a call, if it says so.
func answer(s *Span) *Span {
	if s.Kind == trace.Call && len(s.Below) == 1 && s.Below[0].Kind == trace.Serve && s.Below[0].Name == s.Name {
		return s.Below[0]
	}
	return nil
}

// bar shows where a span is in the whole.
func (t text) bar(s *Span) string {
	end := s.End()
	if !s.Ended {
		end = t.to
	}
	whole := max(1, t.to-t.from)
	from := min(barWidth-1, int(barWidth*(s.Start-t.from)/whole))
	to := min(barWidth, max(from+1, int((barWidth*(end-t.from)+whole/2)/whole)))
	return "▕" + strings.Repeat(" ", from) + strings.Repeat("█", to-from) + strings.Repeat(" ", barWidth-to) + "▏"
}

// noted is the notes of a span on one line.
func noted(s *Span) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(s.Notes)) {
		words = append(words, key+"="+s.Notes[key])
	}
	return strings.Join(words, " ")
}
