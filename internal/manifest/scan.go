package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/resource"
)

// Directories returns the plugin directories in the order of the search: those
// of $PATCHBAY_PLUGIN_PATH, the further ones given, the system's, and the one
// beside this program's own folder, so that a build tree runs in place.
func Directories(further []string) []string {
	var out []string
	for d := range strings.SplitSeq(os.Getenv(layout.PluginPathVariable), ":") {
		if filepath.IsAbs(d) {
			out = append(out, filepath.Clean(d))
		}
	}
	out = append(out, further...)
	out = append(out, "/etc/patchbay/plugins", "/usr/local/lib/patchbay/plugins", "/usr/lib/patchbay/plugins")
	if program, err := os.Executable(); err == nil {
		out = append(out, filepath.Join(filepath.Dir(program), "..", "lib", "patchbay", "plugins"))
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(out, func(d string) bool {
		again := seen[d]
		seen[d] = true
		return again
	})
}

// Scan reads all plugins in the directories, by name. Of several with one name
// the first directory's is used, whatever is wrong with it, and the others are
// told in Shadowed. A folder without a manifest is no plugin. A directory that
// does not exist has none.
func Scan(directories []string) ([]Plugin, error) {
	byName := map[string]*Plugin{}
	var faults []error
	for _, directory := range directories {
		entries, err := os.ReadDir(directory)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			faults = append(faults, fmt.Errorf("plugin directory %w", cause(directory, err)))
		}
		for _, entry := range entries {
			folder := filepath.Join(directory, entry.Name())
			if _, err := os.Lstat(filepath.Join(folder, FileName)); err != nil {
				continue
			}
			if first := byName[entry.Name()]; first != nil {
				first.Shadowed = append(first.Shadowed, folder)
				continue
			}
			p := Read(folder)
			byName[p.Name] = &p
		}
	}
	out := make([]Plugin, 0, len(byName))
	for _, p := range byName {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b Plugin) int { return cmp.Compare(a.Name, b.Name) })
	return out, errors.Join(faults...)
}

// Find returns the plugin of a name that is fit for use. It is
// errdefs.ErrNotFound, naming what there is, if there is none or it is of
// another kind, and errdefs.ErrFailedPrecondition if it has a fault.
func Find(directories []string, kind resource.PluginKind, name string) (Plugin, error) {
	for _, directory := range directories {
		folder := filepath.Join(directory, name)
		if !validName.MatchString(name) {
			break
		}
		if _, err := os.Lstat(filepath.Join(folder, FileName)); err != nil {
			continue
		}
		p := Read(folder)
		if p.Fault != "" {
			return p, fmt.Errorf("%s plugin %s: %s: %w", kind, name, p.Fault, errdefs.ErrFailedPrecondition)
		}
		if p.Kind == kind {
			return p, nil
		}
		break
	}
	return Plugin{}, fmt.Errorf("%s plugin %q: want %s: %w", kind, name, available(directories, kind), errdefs.ErrNotFound)
}

// available names the plugins of a kind, for errors.
func available(directories []string, kind resource.PluginKind) string {
	plugins, err := Scan(directories)
	var names []string
	for _, p := range plugins {
		if p.Kind == kind && p.Fault == "" {
			names = append(names, p.Name)
		}
	}
	if err != nil || len(names) == 0 {
		return "one in " + strings.Join(directories, ", ")
	}
	return "one of " + strings.Join(names, ", ")
}
