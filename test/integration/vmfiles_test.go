//go:build integration

package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// mountTmpfs mounts memory of a size at a directory of the host.
func (h *host) mountTmpfs(dir, size string) {
	h.t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := unix.Mount("test", dir, "tmpfs", 0, "size="+size); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			h.t.Error(err)
		}
	})
}

// processesOf are the host's processes of a program.
func (h *host) processesOf(program string) []int {
	var pids []int
	for pid, p := range h.processes() {
		if p.name == program {
			pids = append(pids, pid)
		}
	}
	return pids
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(content)
}

func TestVirtualMachineSharesFiles(t *testing.T) {
	t.Parallel()
	h := newHost(t).ofMachines().up()
	at := func(name string) string { return filepath.Join(h.dir, name) }
	h.write("rw,1/deep/file", []byte("of the host\n"), 0o640)
	h.write("ro/file", []byte("untouched\n"), 0o644)
	h.write("nested/inner", []byte("nested\n"), 0o644)
	h.write("app.conf", []byte("configured\n"), 0o644)
	if err := os.Chown(at("rw,1/deep/file"), 1000, 2000); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", at("rw,1/link")); err != nil {
		t.Fatal(err)
	}
	h.mountTmpfs(at("rw,1/small"), "1m")
	h.write("rw,1/small/other", []byte("other file system\n"), 0o644)
	h.mountTmpfs(at("ro/below"), "1m")
	h.patchbay("create", "--runtime", "vm", "--name", "vm", "--network", "none", "-v", at("rw,1")+":/srv/rw", "-v", at("ro")+":/srv/ro:ro",
		"-v", at("nested")+":/srv/rw/deep/nested:noexec", "-v", at("app.conf")+":/etc/app.conf", "--mount", "type=bind,source="+at("app.conf")+",target=/new/place/app.conf,readonly",
		"-v", "/etc", "-v", "/vol", "--mount", "type=volume,target=/root,readonly", "box", "sleep", "1000")
	t.Run("copies before its first start", func(t *testing.T) {
		note := h.write("note", []byte("note\n"), 0o644)
		h.patchbay("cp", note, "vm:/opt")
		if r := h.try("cp", note, "vm:/srv/ro/x"); r.code != 1 || !strings.Contains(r.stderr, "read-only file system") || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("where it may only read: %s", r)
		}
		h.patchbay("create", "--runtime", "vm", "--rm", "--name", "once", "--network", "none", "box", "cat", "/opt")
		h.patchbay("cp", "vm:/opt", "once:/opt")
		if out := h.patchbay("start", "--attach", "once"); out != "note" {
			t.Errorf("in one that keeps nothing: %q", out)
		}
	})
	uses := h.usesOf(defaultMemory, 1)
	h.patchbay("start", "vm")
	if now := h.usesOf(defaultMemory, 1); now <= uses { // others use it too
		t.Errorf("%d machines have gone on from the template, %d before: want this one too", now, uses)
	}
	sh := func(script string) string {
		t.Helper()
		return h.patchbay("exec", "vm", "sh", "-c", script)
	}
	// An attacker who has all privileges in the guest leaves the container's root,
	// and has before him all that the host shares, at entries by the mounts' order.
	h.patchbay("exec", "--privileged", "vm", "sh", "-c", "mkdir -p /out/bin /out/proc; cp /bin/busybox /out/bin; mount --bind /proc /out/proc")
	attack := func(script string) result {
		t.Helper()
		script = "PATH=; exec 2>&1; busybox() { /bin/busybox \"$@\"; }; cd -P /proc/self/fd/3/../shares && cd -P 0/deep && cd -P ../.. && " + script
		return h.try("exec", "--privileged", "vm", "sh", "-c", "exec 3</; exec chroot /out /bin/busybox sh -c \"$0\"", script)
	}

	t.Run("reads and writes", func(t *testing.T) {
		if out := sh("cd /srv/rw; cat deep/file deep/nested/inner small/other /new/place/app.conf; stat -c '%u:%g %a' deep/file; readlink link"); out !=
			"of the host\nnested\nother file system\nconfigured\n1000:2000 640\n/etc/passwd" {
			t.Errorf("the guest sees %q", out)
		}
		sh("cd /srv/rw; echo new >made; chown 7:8 made; chmod 4711 made; mkdir -p a/b; ln made a/hard; ln -s made a/soft; mkfifo pipe; mv deep/file deep/moved; echo changed >/etc/app.conf; touch deep/nested/from-guest")
		var info unix.Stat_t
		if err := unix.Stat(at("rw,1/made"), &info); err != nil || info.Uid != 7 || info.Gid != 8 || info.Mode&0o7777 != 0o4711 || info.Nlink != 2 {
			t.Errorf("the host sees %+v, %v", info, err)
		}
		if got := read(t, at("rw,1/made")) + read(t, at("app.conf")); got != "new\nchanged\n" {
			t.Errorf("the host reads %q", got)
		}
		for _, name := range []string{"rw,1/pipe", "rw,1/a/soft", "rw,1/deep/moved", "nested/from-guest"} {
			if _, err := os.Lstat(at(name)); err != nil {
				t.Error(err)
			}
		}
		if out := sh("cd /srv/rw; cat link | head -n 1; find . -name other; rm -r a"); out != "root:x:0:0:root:/root:/bin/sh\n./small/other" {
			t.Errorf("the guest sees %q", out) // its own /etc/passwd; and no loop at the other file system
		}
		if r := h.try("exec", "vm", "sh", "-c", "cp /bin/busybox /srv/rw/deep/nested/run && /srv/rw/deep/nested/run true"); r.code == 0 || !strings.Contains(r.stderr, "ermission denied") {
			t.Errorf("a program on a mount without execution: %s", r)
		}
	})
	t.Run("locks are the guest's own", func(t *testing.T) {
		h.write("rw,1/listed", nil, 0o644)
		// A lock of the guest's is one among its processes alone.
		f, err := os.Open(at("rw,1/listed"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		if out := sh("cd /srv/rw; exec 8<listed; flock 8; (exec 9<listed; flock -n 9 || echo held)"); out != "held" {
			t.Errorf("locks in the guest: %q", out)
		}
	})
	t.Run("what the host changes is seen", func(t *testing.T) {
		h.write("rw,1/deep/moved", []byte("changed by the host, and longer\n"), 0o644)
		eventually(t, settle, func() error {
			if out := sh("cat /srv/rw/deep/moved"); out != "changed by the host, and longer" {
				return fmt.Errorf("the guest sees %q", out)
			}
			return nil
		})
	})
	t.Run("volumes have the image's content", func(t *testing.T) {
		if out := sh("head -n 1 /etc/passwd; echo x >/etc/written; cd /root; touch x 2>/dev/null || echo refused"); out != "root:x:0:0:root:/root:/bin/sh\nrefused" {
			t.Errorf("volumes: %q", out)
		}
	})
	t.Run("what is read-only is so for an attacker", func(t *testing.T) {
		if r := h.try("exec", "--privileged", "vm", "sh", "-c", "mount -o remount,rw,bind /srv/ro; echo x >/srv/ro/file"); r.code == 0 {
			t.Errorf("got through: %s", r)
		}
		attempts := []string{
			"busybox touch x", "busybox touch 1/x", "(echo x >1/file)", "busybox rm 1/file", "busybox chmod 777 1",
			"busybox touch 1/below/x", "(echo x >6)", "busybox touch 7/x", "busybox mknod 0/disk b 7 0",
		}
		r := attack(strings.Join(attempts, " && echo through; ") + " && echo through; busybox ls .. 0/.. 1/../.. 0/deep/../../../..")
		if stopped := strings.Count(r.stdout, "Read-only file system") + strings.Count(r.stdout, "Operation not permitted"); stopped != len(attempts) || strings.Contains(r.stdout, "through") {
			t.Errorf("want %d attempts to fail: %s", len(attempts), r)
		}
		if !strings.Contains(r.stdout, "newroot") || strings.Contains(r.stdout, filepath.Base(h.dir)) { // the guest's own root it may see
			t.Errorf("leads out: %s", r)
		}
		if got := read(t, at("ro/file")); got != "untouched\n" {
			t.Errorf("the host's file: %q", got)
		}
	})
	t.Run("the disk is full", func(t *testing.T) {
		if r := h.try("exec", "vm", "dd", "if=/dev/zero", "of=/srv/rw/small/big", "bs=64k", "count=64"); r.code == 0 || !strings.Contains(r.stderr, "No space left") {
			t.Errorf("write more than there is room for: %s", r)
		}
		if out := sh("rm /srv/rw/small/big; echo fits >/srv/rw/small/other; cat /srv/rw/small/other"); out != "fits" {
			t.Errorf("after that: %q", out)
		}
	})
	t.Run("copies", func(t *testing.T) { h.checkCopies(t, "vm") })
	t.Run("the helper dies, and the daemon that serves them", func(t *testing.T) {
		kill(t, h.container("vm").Status.HelperPID)
		eventually(t, settle, func() error {
			if c := h.container("vm"); c.Status.State != resource.ContainerStopped || c.Status.ExitCode != 137 {
				return fmt.Errorf("status %+v", c.Status)
			}
			return nil
		})
		if left := h.processesOf("virtiofsd"); len(left) != 0 {
			t.Errorf("processes after the helper's death: %v", left)
		}
		// What its guest wrote is read by a guest, and what is shared with it is there.
		h.patchbay("cp", "vm:/pub", at("stopped"))
		if got := read(t, at("stopped/sub/tool")); got != "tool\n" {
			t.Errorf("copied out of one that is stopped: %q", got)
		}
		if r := h.try("cp", "-L", "vm:/pub/absolute", at("stolen")); r.code != 1 || !strings.Contains(r.stderr, "no such file") {
			t.Errorf("a link out of the container: %s", r)
		}
		if r := h.try("cp", "vm:/srv/ro/file", "-"); r.code != 0 || !strings.Contains(r.stdout, "untouched\n") {
			t.Errorf("of what is shared: %s", r)
		}
		if left := h.processesOf("qemu-system-x86_64"); len(left) != 0 {
			t.Errorf("machines after the copies: %v", left)
		}
		h.patchbay("start", "vm")
		if out := sh("cat /etc/written /srv/rw/made"); out != "x\nnew" {
			t.Errorf("after the death and a start: %q", out)
		}
		pids := h.processesOf("virtiofsd")
		if len(pids) == 0 {
			t.Fatal("no virtiofsd runs")
		}
		for _, pid := range pids { // the one ends with the other
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				t.Error(err)
			}
		}
		eventually(t, settle, func() error {
			c := h.container("vm")
			if c.Status.State != resource.ContainerStopped || c.Status.ExitCode != 137 || !strings.Contains(c.Status.Message, "virtiofsd has ended") {
				return fmt.Errorf("status %+v", c.Status)
			}
			return nil
		})
	})
}
