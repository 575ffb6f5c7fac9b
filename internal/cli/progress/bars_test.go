package progress

import (
	"strings"
	"testing"
)

// lastPicture is a screen that remembers.
type lastPicture struct {
	text   string
	closed bool
}

func (l *lastPicture) Show(text string) error { l.text = text; return nil }
func (l *lastPicture) Close() error           { l.closed = true; return nil }

func TestBars(t *testing.T) {
	t.Parallel()
	var shown lastPicture
	d := &Display{view: &bars{screen: &shown, byID: map[string]*Step{}}}
	one, two := "sha256:"+strings.Repeat("ab", 32), "sha256:"+strings.Repeat("cd", 32)
	for _, s := range []Step{
		{Name: "resolve"},
		{ID: one, Name: "download", Current: 1, Total: 4000},
		{ID: two, Name: "present"},
		{ID: one, Name: "download", Current: 1000, Total: 4000},
		{ID: "box.tar", Name: "unpack", Current: 1000},
		{ID: one, Name: "download", Current: 2000},
	} {
		d.Show(s)
	}
	d.Close()
	want := strings.Join([]string{
		"abababababab download [===================>------------------] 2kB / 4kB",
		"cdcdcdcdcdcd present  [======================================] 0B",
		"box.tar      unpack   [>-------------------------------------] 1kB",
		"",
	}, "\n")
	if shown.text != want || !shown.closed {
		t.Errorf("got, closed %v\n%swant\n%s", shown.closed, shown.text, want)
	}
}
