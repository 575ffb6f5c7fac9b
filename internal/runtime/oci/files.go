package oci

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/sandbox"
)

// generated are the files that the container sees below /etc, by their paths
// there.
func generated(c sandbox.Configuration) map[string][]byte {
	return map[string][]byte{
		"/etc/hosts":       spec.Hosts(c),
		"/etc/hostname":    []byte(c.Hostname + "\n"),
		"/etc/resolv.conf": spec.ResolvConf(c.DNS),
	}
}

// fileOf is where the file is that the container sees at a path.
func (e *Engine) fileOf(target string) string { return e.path(filepath.Base(target)) }

// writeFiles writes the generated files, which live as long as this run of the
// container, and returns where they are.
func (e *Engine) writeFiles(c sandbox.Configuration) (map[string]string, error) {
	files := make(map[string]string)
	for target, content := range generated(c) {
		path := e.fileOf(target)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return nil, fmt.Errorf("write %s: %w", target, err)
		}
		if err := os.Chmod(path, 0o644); err != nil { // whatever the umask
			return nil, fmt.Errorf("write %s: %w", target, err)
		}
		files[target] = path
	}
	return files, nil
}

// Rewrite implements sandbox.Rewirer. A file is written in place, for it is
// mounted, and only if the container has left it as it was.
func (e *Engine) Rewrite(c sandbox.Configuration) error {
	before := generated(e.sandbox)
	after := generated(c)
	for _, target := range slices.Sorted(maps.Keys(after)) {
		if bytes.Equal(before[target], after[target]) {
			continue
		}
		if err := replaceContent(e.fileOf(target), before[target], after[target]); err != nil {
			return fmt.Errorf("write %s: %w", target, err)
		}
	}
	e.sandbox.Attachments, e.sandbox.DNS = c.Attachments, c.DNS
	return nil
}

// replaceContent writes a file in place if it is as it was before. A reader meets
// at no time an empty file.
func replaceContent(path string, before, after []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	now := make([]byte, len(before)+1)
	n, _ := f.ReadAt(now, 0) // io.EOF
	if !bytes.Equal(now[:n], before) {
		return nil
	}
	if _, err := f.WriteAt(after, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(after)))
}
