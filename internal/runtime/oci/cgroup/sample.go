package cgroup

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"

	"patchbay.dev/patchbay/internal/runtime/oci/cgroup/account"
	"patchbay.dev/patchbay/resource"
)

// Sample says what the group has used. On a hybrid host each controller is in one
// of the versions; what no controller counts is nil.
func (g Group) Sample() (resource.Sample, error) {
	s, err := account.V1(g.read)
	if err != nil {
		return s, err
	}
	if _, ok := g.dirs[""]; !ok {
		return s, nil
	}
	v2, err := account.V2(g.read)
	return resource.Sample{
		CPU:       cmp.Or(s.CPU, v2.CPU),
		Memory:    cmp.Or(s.Memory, v2.Memory),
		Processes: cmp.Or(s.Processes, v2.Processes),
		Block:     cmp.Or(s.Block, v2.Block),
	}, err
}

func (g Group) read(controller, file string) ([]byte, error) {
	for controllers, dir := range g.dirs {
		if controllers == "" && controller == "" || controller != "" && hasController(controllers, controller) {
			return os.ReadFile(filepath.Join(dir, file))
		}
	}
	return nil, fs.ErrNotExist
}
