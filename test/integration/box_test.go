//go:build integration

package integration

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// box is a root file system of busybox alone, as an archive.
var box = sync.OnceValues(func() ([]byte, error) {
	program, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	applets, err := exec.Command(program, "--list").Output()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, dir := range []string{"bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"} {
		mode := int64(0o755)
		if dir == "tmp" {
			mode = 0o1777
		}
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: mode})
	}
	file := func(name string, mode int64, content []byte) {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))})
		w.Write(content)
	}
	file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n"))
	file("etc/group", 0o644, []byte("root:x:0:\nuser:x:1000:\nextra:x:2000:user\n"))
	file("etc/not-executable", 0o644, []byte("#!/bin/sh\n"))
	file("bin/no-format", 0o755, []byte("echo hi\n"))
	file("bin/busybox", 0o755, content)
	for _, name := range strings.Fields(string(applets)) {
		if name != "busybox" {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox", Mode: 0o777})
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
})

// boxFile writes the archive of the box to a file of the host.
func (h *host) boxFile() string {
	h.t.Helper()
	content, err := box()
	if err != nil {
		h.t.Fatal(err)
	}
	return h.write("rootfs.tar", content, 0o644)
}

func (h *host) importBox() {
	h.t.Helper()
	h.patchbay("image", "import", h.boxFile(), "box:latest")
}

// write puts a file into the host's directory and returns its path.
func (h *host) write(name string, content []byte, mode os.FileMode) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		h.t.Fatal(err)
	}
	return path
}
