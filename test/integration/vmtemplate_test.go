//go:build integration

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"patchbay.dev/patchbay/resource"
)

// defaultMemory is that of a machine when nobody says.
const defaultMemory = 512 << 20

// templates are the machines that were saved.
func (h *host) templates() []resource.KernelTemplate {
	h.t.Helper()
	out := h.patchbay("system", "kernel", "status", "--format", "json")
	var k resource.Kernel
	if err := json.Unmarshal([]byte(out), &k); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	return k.Templates
}

// usesOf is how many machines have gone on from a template of a size.
func (h *host) usesOf(memory int64, processors int) (n int) {
	h.t.Helper()
	for _, t := range h.templates() {
		if t.MemoryBytes == memory && t.Processors == processors {
			n += t.Uses
		}
	}
	return n
}

// memories are the files of the memory of saved machines.
func (h *host) memories() []string {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.root, "cache/vm/templates/[0-9a-f]*/memory"))
	if err != nil {
		h.t.Fatalf("memory of saved machines: %v", err)
	}
	return files
}

// ownMachines gives the host a copy of the machines that were saved.
func (h *host) ownMachines() *host {
	h.t.Helper()
	cache := filepath.Join(h.root, "cache")
	own := filepath.Join(cache, "own")
	dir, err := machines()
	if err != nil {
		h.t.Fatal(err)
	}
	h.must(h.command(h.ns, "cp", "-a", "--sparse=always", dir, own))
	link := filepath.Join(cache, "vm") // to those of all
	if err := errors.Join(os.Remove(link), os.Rename(own, link)); err != nil {
		h.t.Fatal(err)
	}
	return h
}

func TestVirtualMachineGoesOnFromATemplate(t *testing.T) {
	t.Parallel()
	h := newHost(t).ofMachines().up().ownMachines()
	uses := h.usesOf(defaultMemory, 1)
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "more")
	for _, name := range []string{"one", "two"} {
		h.patchbay("run", "-d", "--runtime", "vm", "--name", name, "--network", "web", "box", "sleep", "1000")
	}
	if now := h.usesOf(defaultMemory, 1); now != uses+2 {
		t.Fatalf("%d machines have gone on from the template, %d before: want 2 more", now, uses)
	}

	// Whatever the two have in common of what was random comes from the template.
	t.Run("each is a machine of its own", func(t *testing.T) {
		for what, script := range map[string]string{
			"random numbers": "head -c 32 /dev/urandom | od -An -tx1",
			"more of them":   "od -An -tx1 -N32 /dev/random",
			"boot id":        "cat /proc/sys/kernel/random/boot_id",
			"machine id":     "cat /etc/machine-id",
			"address":        "cat /sys/class/net/eth0/address",
			"host name":      "hostname",
			"uuid":           "cat /proc/sys/kernel/random/uuid",
		} {
			one, two := h.patchbay("exec", "one", "sh", "-c", script), h.patchbay("exec", "two", "sh", "-c", script)
			if one == two || one == "" || two == "" {
				t.Errorf("%s: %q and %q", what, one, two)
			}
		}
		for _, name := range []string{"one", "two"} {
			seconds, err := strconv.ParseInt(h.patchbay("exec", name, "date", "+%s"), 10, 64)
			if off := time.Since(time.Unix(seconds, 0)); err != nil || off < -time.Minute || off > time.Minute {
				t.Errorf("clock of %s: is off by %v, %v", name, off, err)
			}
			if got := h.patchbay("exec", name, "cat", "/sys/class/net/eth0/address"); got != string(h.attachment(name, "web").MACAddress) {
				t.Errorf("address of %s: %s", name, got)
			}
		}
	})
	t.Run("networks", func(t *testing.T) {
		h.patchbay("exec", "one", "ping", "-c", "1", "-W", "60", "two")
		h.patchbay("network", "connect", "more", "one")
		h.patchbay("network", "connect", "more", "two")
		h.patchbay("exec", "one", "ping", "-c", "1", "-W", "60", "two.more")
		h.patchbay("network", "disconnect", "more", "one")
		if got := h.patchbay("exec", "one", "ls", "/sys/class/net"); got != "eth0\nlo" {
			t.Errorf("interfaces %q", got)
		}
	})
	t.Run("stop and start", func(t *testing.T) {
		id := h.patchbay("exec", "one", "sh", "-c", "echo kept >/kept; cat /etc/machine-id")
		h.patchbay("stop", "-t", "0", "one")
		h.patchbay("start", "one")
		if got := h.patchbay("exec", "one", "cat", "/kept", "/etc/machine-id"); got != "kept\n"+id {
			t.Errorf("after a stop: %q, want what was written and the same id %s", got, id)
		}
		if now := h.usesOf(defaultMemory, 1); now != uses+3 {
			t.Errorf("%d machines have gone on from the template, %d before: want 3 more", now, uses)
		}
	})
	t.Run("one that is damaged is given up", func(t *testing.T) {
		for _, file := range h.memories() {
			// What runs has mapped the file; only who starts from now on is to see this.
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Remove(file), os.WriteFile(file, nil, 0o600), os.Truncate(file, info.Size())); err != nil {
				t.Fatal(err)
			}
		}
		before := len(h.memories())
		if out := h.patchbay("run", "--rm", "--runtime", "vm", "--network", "web", "box", "hostname"); out == "" {
			t.Error("no output")
		}
		if left := h.memories(); len(left) != before-1 {
			t.Errorf("left: %v", left)
		}
		if out := h.patchbay("exec", "two", "echo", "untouched"); out != "untouched" {
			t.Errorf("a machine that had gone on from it: %q", out)
		}
		eventually(t, commandLimit, func() error { // in the background
			if now := len(h.memories()); now != before {
				return fmt.Errorf("%d templates, want %d", now, before)
			}
			return nil
		})
	})
}
