package oci

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"patchbay.dev/patchbay/internal/runtime/inside"
	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/sandbox"
)

// fileOf is where the file is that the container sees at a path.
func (e *Engine) fileOf(target string) string { return e.path(filepath.Base(target)) }

// writeFiles writes the generated files, which live as long as this run of the
// container, and returns where they are.
func (e *Engine) writeFiles(c sandbox.Configuration) (map[string]string, error) {
	files := make(map[string]string)
	for target, content := range spec.Files(c) {
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

// Rewrite implements sandbox.Engine. A file is written in place, for it is
// mounted, and only if the container has left it as it was.
func (e *Engine) Rewrite(c sandbox.Configuration) error {
	before := spec.Files(e.told)
	after := spec.Files(c)
	for _, target := range slices.Sorted(maps.Keys(after)) {
		if bytes.Equal(before[target], after[target]) {
			continue
		}
		if err := inside.Replace(e.fileOf(target), before[target], after[target]); err != nil {
			return fmt.Errorf("write %s: %w", target, err)
		}
	}
	e.told = c
	return nil
}
