package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const daemon = `10 100.000 execve("/usr/bin/patchbayd", ["patchbayd"], 0x1 /* 3 vars */) = 0
10 100.100 clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD) = 11
11 200.020 fdatasync(8)                  = 0
11 200.030 clone(child_stack=NULL, flags=CLONE_VM|CLONE_VFORK|SIGCHLD <unfinished ...>
12 200.040 execve("/proc/self/fd/9", ["/usr/bin/crun", "create"], 0x1 /* 1 var */) = 0
12 200.050 sendto(3, [{nlmsg_len=32}], 32, 0, NULL, 0) = 32
12 200.060 exit_group(0) = ?
11 300.000 fdatasync(8) = 0
`

const asked = `20 200.000 execve("/usr/bin/patchbay", ["patchbay", "run"], 0x1 /* 3 vars */) = 0
20 200.010 write(5, "POST /patchbay.apiserver.v1.ContainerService/Create HTTP/1.1"..., 230) = 230
20 200.070 exit_group(0) = ?
`

func TestRead(t *testing.T) {
	t.Parallel()
	got, err := read(daemon, asked)
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, l := range got {
		for _, m := range l.marks {
			text = append(text, strings.TrimSpace(strings.Join([]string{l.name, m.kind, m.text}, " ")))
		}
	}
	want := []string{"patchbayd disk", "patchbay program patchbay", "patchbay call Create", "crun program /usr/bin/crun", "crun netlink"}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
	if crun := got[2]; crun.begin < 39.9 || crun.begin > 40.1 || crun.end < 59.9 || crun.end > 60.1 {
		t.Errorf("crun from %v to %v ms, want 40 to 60", crun.begin, crun.end)
	}
	if _, err := read(daemon, ""); err == nil {
		t.Error("a command that did nothing has a timeline")
	}
}

func TestDraw(t *testing.T) {
	t.Parallel()
	lanes, err := read(daemon, asked)
	if err != nil {
		t.Fatal(err)
	}
	svg := string(draw(lanes))
	for _, want := range []string{">Create</text>", ">crun</text>", ">disk</text>"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in the picture", want)
		}
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
