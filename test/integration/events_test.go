//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource/event"
)

// events returns what there is for a query now.
func (h *host) events(args ...string) []event.Event {
	h.t.Helper()
	var all []event.Event
	lines := json.NewDecoder(strings.NewReader(h.patchbay(append([]string{"system", "events", "--format", "json", "--until", "0s"}, args...)...)))
	for {
		var e event.Event
		if err := lines.Decode(&e); err == io.EOF {
			return all
		} else if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, e)
	}
}

// told is events in few words, without those of patchbayd and of the built-in network,
// which come when they like.
func told(all []event.Event) []string {
	var out []string
	for _, e := range all {
		ofDefault := e.Name == "default" || e.Type == event.Plugin && e.Attributes[event.AttributeNetwork] == "default"
		if e.Type != event.System && !ofDefault {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Type, e.Action, e.Name, e.Attributes[event.AttributeExitCode])))
		}
	}
	return out
}

func TestEvents(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	start := h.events("--since", "1h")
	if len(start) == 0 || start[0].Type != event.System {
		t.Fatalf("events of the start: %v", start)
	}
	from := start[len(start)-1].Revision
	live := h.begin("system", "events", "--since", fmt.Sprint(from), "--filter", "label=app=shop", "--filter", "event=die", "--filter", "event=start")

	h.patchbay("image", "tag", "box", "second:1")
	h.patchbay("network", "create", "web")
	h.patchbay("run", "-d", "--name", "one", "--label", "app=shop", "--network", "web", "box", "sleep", "1000")
	h.try("run", "--rm", "--name", "two", "--network", "web", "box", "sh", "-c", "exit 3")
	h.patchbay("network", "connect", "default", "one")
	h.patchbay("network", "disconnect", "default", "one")
	h.patchbay("stop", "-t", "0", "one")
	h.patchbay("plugin", "restart", "--network", "web")
	middle := h.events("--since", fmt.Sprint(from))

	kill(t, h.daemonPID())
	h.patchbay("system", "start")
	h.patchbay("start", "one")
	kill(t, h.container("one").Status.HelperPID)
	h.patchbay("wait", "one")
	h.patchbay("delete", "one")
	h.patchbay("network", "delete", "web")
	h.patchbay("image", "delete", "second:1")

	all := h.events("--since", fmt.Sprint(from))
	got := told(all)
	// How soon the network serves again after the start of patchbayd is its own matter.
	got = slices.Compact(slices.DeleteFunc(got, func(s string) bool { return s == "network ready web" }))
	want := []string{
		"image tag second:1", "network create web",
		"container create one", "container start one", "container create two", "container start two", "container die two 3", "container delete two",
		"container connect one", "container disconnect one",
		"container die one 137", "container stop one", "plugin restart bridge",
		"container start one", "container die one 137", "container delete one", "network delete web", "image untag second:1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if !slices.IsSortedFunc(all, func(a, b event.Event) int { return int(int64(a.Revision - b.Revision)) }) {
		t.Errorf("revisions are not in order: %v", all)
	}
	// Where one query ended the next goes on, over the death of patchbayd too.
	last := middle[len(middle)-1].Revision
	rest := h.events("--since", fmt.Sprint(last))
	if diff := cmp.Diff(all, append(middle, rest...)); diff != "" {
		t.Errorf("one query and two (-one +two):\n%s", diff)
	}
	if r := h.wait(live); r.code == 0 || strings.Count(r.stdout, "container ") != 2 || !strings.Contains(r.stdout, "start one") || !strings.Contains(r.stdout, "exitCode=137") {
		t.Errorf("what was followed until patchbayd died: %s", r)
	}

	h.patchbay("system", "stop", "-t", "0")
	h.patchbay("system", "start")
	if r := h.try("system", "events", "--since", fmt.Sprint(last), "--until", "0s"); r.code == 0 || !strings.Contains(r.stderr, "no longer kept") {
		t.Errorf("a revision from before the stop of the system: %s", r)
	}
	if now := h.events("--since", "1h"); now[0].Revision <= all[len(all)-1].Revision {
		t.Errorf("revision %d after the stop of the system, %d before", now[0].Revision, all[len(all)-1].Revision)
	}
}

// What patchbayd says when it ends in good order is still told, and then the command
// ends with an error that says how to go on.
func TestEventsEndWithPatchbayd(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	live := h.prepare(nil, binary("patchbay"), "system", "events", "--since", "1h")
	seen := newWatch("image import box:latest")
	live.Stdout = io.MultiWriter(&live.out, seen)
	if err := h.ns.Do(live.Start); err != nil {
		t.Fatal(err)
	}
	<-seen.found
	h.patchbay("system", "stop", "-t", "0")
	r := h.wait(live)
	if r.code != 1 || !strings.Contains(r.stdout, "system stop patchbayd") || !strings.Contains(r.stderr, "go on from revision") {
		t.Errorf("end: %s", r)
	}
}

// watch tells when a text was written.
type watch struct {
	text  []byte
	found chan struct{}
	sofar []byte
}

func newWatch(text string) *watch { return &watch{text: []byte(text), found: make(chan struct{})} }

func (w *watch) Write(p []byte) (int, error) {
	if w.text != nil {
		if w.sofar = append(w.sofar, p...); bytes.Contains(w.sofar, w.text) {
			w.text = nil
			close(w.found)
		}
	}
	return len(p), nil
}
