package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"patchbay.dev/patchbay/internal/atomicfile"
)

const extension = ".json"

// Save keeps a part in a directory, which is made where it is missing; a former one
// of its name is replaced.
func Save(directory string, p Part) error {
	content, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return fmt.Errorf("part %s: %w", p.Name, err)
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(directory, p.Name+extension), content, 0o644)
}

// Load reads the parts of a directory, by name. A directory that is not there has
// none.
func Load(directory string) ([]Part, error) {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var parts []Part
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), extension)
		if !ok {
			continue
		}
		path := filepath.Join(directory, e.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var p Part
		if err := json.Unmarshal(content, &p); err != nil {
			return nil, fmt.Errorf("%s: %w: remove it, or measure part %s again", path, err, name)
		}
		parts = append(parts, p)
	}
	return parts, nil
}
