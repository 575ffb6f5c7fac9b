//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// checkCopies copies in and out of a container that runs, of whatever runtime.
// Its processes have root's rights and a volume at /vol.
func (h *host) checkCopies(t *testing.T, name string) {
	t.Helper()
	at := func(elements ...string) string {
		return filepath.Join(append([]string{h.dir, "copies-" + name}, elements...)...)
	}
	h.write("copies-"+name+"/site/index", []byte("index\n"), 0o640)
	h.write("copies-"+name+"/site/sub/tool", []byte("tool\n"), 0o755)
	if err := os.Symlink("sub/tool", at("site/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(at("site/index"), 1000, 2000); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chmod(at("site/sub/tool"), 0o4755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(at("site/index"), "user.note", []byte("noted"), 0); err != nil {
		t.Fatal(err)
	}
	h.patchbay("cp", at("site"), name+":/pub")
	h.patchbay("cp", at("site")+"/.", name+":/tmp")
	h.patchbay("cp", "-a", at("site"), name+":/vol")
	h.patchbay("cp", at("site/index"), name+":/etc/hostname") // a mount, which nobody can replace
	if got := h.patchbay("exec", name, "sh", "-c", "stat -c '%n %u:%g %a' /pub/index /pub/sub/tool /vol/site/index /vol/site/sub/tool; readlink /pub/link; cat /tmp/sub/tool /etc/hostname"); got !=
		"/pub/index 0:0 640\n/pub/sub/tool 0:0 755\n/vol/site/index 1000:2000 640\n/vol/site/sub/tool 0:0 4755\nsub/tool\ntool\nindex" {
		t.Errorf("in the container: %s", got)
	}

	h.patchbay("cp", "-a", name+":/vol/site/index", at("back"))
	note := make([]byte, 10)
	if n, err := unix.Getxattr(at("back"), "user.note", note); err != nil || string(note[:max(0, n)]) != "noted" {
		t.Errorf("attribute after the way in and out: %q, %v", note[:max(0, n)], err)
	}

	// Out again, from a container that would like to have more.
	h.patchbay("exec", name, "sh", "-c", "ln -s "+at("secret")+" /pub/absolute; ln -s ../../../../../../../.."+at("secret")+" /pub/relative; ln -s / /pub/top; mkfifo /pub/pipe; echo guest >/etc/mark")
	h.write("copies-"+name+"/secret", []byte("secret\n"), 0o600)
	h.patchbay("cp", "-a", name+":/pub", at("out"))
	h.patchbay("cp", name+":/pub/top/etc/mark", at("out/mark"))
	for _, link := range []string{"absolute", "relative"} {
		if r := h.try("cp", "-L", name+":/pub/"+link, at("stolen")); r.code != 1 || !strings.Contains(r.stderr, "no such file") {
			t.Errorf("a link out of the container: %s", r)
		}
	}
	if out := read(t, at("out/sub/tool")) + read(t, at("out/mark")); out != "tool\nguest\n" {
		t.Errorf("on the host: %q", out)
	}
	if target, err := os.Readlink(at("out/absolute")); err != nil || target != at("secret") {
		t.Errorf("a link is copied as one: %q, %v", target, err)
	}
	// What goes through a link of the destination's stays in it.
	h.patchbay("exec", name, "sh", "-c", "mkdir /pub/absolute.d; echo evil >/pub/absolute.d/secret")
	if err := os.Symlink(at(), at("out/absolute.d")); err != nil {
		t.Fatal(err)
	}
	if r := h.try("cp", name+":/pub/.", at("out")); r.code != 1 || !strings.Contains(r.stderr, "leads out of the directory") {
		t.Errorf("a directory over a link: %s", r)
	}
	if got := read(t, at("secret")); got != "secret\n" {
		t.Errorf("the host's file: %q", got)
	}

	// Archives, and what goes wrong.
	packed := h.patchbay("cp", name+":/pub/sub/.", "-")
	if r := h.tryInput(packed, "cp", "-", name+":/var"); r.code != 0 || h.patchbay("exec", name, "cat", "/var/tool") != "tool" {
		t.Errorf("an archive: %s", r)
	}
	for want, args := range map[string][]string{
		"container " + name + ": /none: no such file or directory":              {"cp", name + ":/none", at("x")},
		"container " + name + ": /no/where: there is no directory /no":          {"cp", at("secret"), name + ":/no/where"},
		"/etc/passwd: is not a directory: a directory cannot be copied":         {"cp", at("site"), name + ":/etc/passwd"},
		at("none") + ": no such file or directory":                              {"cp", at("none"), name + ":/"},
		"container \"nobody\": not found":                                       {"cp", "nobody:/", at("x")},
		"cp: neither side is in a container, want CONTAINER:PATH for one of":    {"cp", "a", "b"},
		"/etc/passwd: is not a directory: an archive is unpacked in one":        {"cp", "-", name + ":/etc/passwd"},
		"container " + name + ": archive: unexpected EOF":                       {"cp", "-", name + ":/tmp"},
		"left out \"dev/null\": neither a file, a directory, a link nor a FIFO": {"cp", name + ":/dev", at("dev")},
	} {
		if r := h.tryInput("no archive", args...); !strings.Contains(r.stderr, want) || strings.HasPrefix(want, "left out") != (r.code == 0) {
			t.Errorf("want %q: %s", want, r)
		}
	}
}

// sandboxDir is where a container's runtime helper has its files.
func (h *host) sandboxDir(name string) string {
	h.t.Helper()
	return filepath.Join(h.runRoot, "sandboxes", h.container(name).ID)
}

func TestCopy(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.write("bound/file", []byte("bound\n"), 0o644)
	h.patchbay("create", "--name", "c", "--network", "none", "-v", "/vol", "-v", "/etc", "-v", filepath.Join(h.dir, "bound")+":/new/place:ro", "box", "sleep", "1000")
	h.patchbay("create", "--name", "ro", "--network", "none", "--read-only", "-v", "/vol", "box", "sleep", "1000")

	t.Run("before its first start", func(t *testing.T) {
		at := h.write("note", []byte("note\n"), 0o644)
		h.patchbay("cp", at, "c:/etc/note")
		h.patchbay("cp", at, "c:/var/log")
		for path, want := range map[string]string{"/etc/passwd": "root:", "/new/place/file": "bound\n", "/var/log": "note\n", "/bin/../etc/note": "note\n"} {
			if r := h.try("cp", "c:"+path, "-"); r.code != 0 || !strings.Contains(r.stdout, want) {
				t.Errorf("%s: want %q: %s", path, want, r)
			}
		}
		for _, args := range [][]string{{"cp", at, "c:/new/place/x"}, {"cp", at, "ro:/x"}} {
			if r := h.try(args...); r.code != 1 || !strings.Contains(r.stderr, "read-only file system") || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("read-only: %s", r)
			}
		}
		h.patchbay("cp", at, "ro:/vol")
		if _, err := os.Stat(h.sandboxDir("ro")); !os.IsNotExist(err) {
			t.Errorf("left of the copy: %v", err)
		}
	})
	t.Run("while it runs", func(t *testing.T) {
		h.patchbay("start", "c")
		if got := h.patchbay("exec", "c", "cat", "/etc/note", "/var/log"); got != "note\nnote" {
			t.Errorf("what was copied before: %q", got)
		}
		h.checkCopies(t, "c")
	})
	t.Run("when it is stopped", func(t *testing.T) {
		h.patchbay("stop", "-t", "0", "c")
		h.patchbay("cp", "c:/pub/sub/.", "ro:/vol/sub") // between two, neither of which runs
		if r := h.try("cp", "ro:/vol", "-"); !strings.Contains(r.stdout, "tool\n") || !strings.Contains(r.stdout, "vol/note") {
			t.Errorf("copied from another: %s", r)
		}
		// A copy that goes on keeps the container as it is.
		waiting := h.prepare(nil, binary("patchbay"), "cp", "-", "c:/var")
		in, err := waiting.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := h.ns.Do(waiting.Start); err != nil {
			t.Fatal(err)
		}
		eventually(t, settle, func() error { _, err := os.Stat(h.sandboxDir("c")); return err })
		if r := h.try("delete", "c"); r.code != 1 || !strings.Contains(r.stderr, "files are being copied") {
			t.Errorf("delete while files are copied: %s", r)
		}
		// No longer than patchbayd lives.
		kill(t, h.daemonPID())
		in.Close()
		waiting.Wait()
		h.patchbay("system", "start")
		h.patchbay("start", "c") // it waits until nothing is left of the copy
	})
}
