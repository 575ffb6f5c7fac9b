package cgroup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

// Each controller is read where the host has it.
func TestSampleOfEachMode(t *testing.T) {
	t.Parallel()
	v1 := map[string]string{
		"cpu,cpuacct/cpuacct.usage": "1000\n", "cpu,cpuacct/cpu.stat": "throttled_time 500\n",
		"memory/memory.usage_in_bytes": "7\n", "memory/memory.limit_in_bytes": "8\n", "memory/memory.stat": "total_inactive_file 2\n",
	}
	v2 := map[string]string{
		"unified/cpu.stat":     "usage_usec 2\n",
		"unified/pids.current": "3\n", "unified/pids.max": "max\n",
	}
	old := resource.Sample{
		CPU:    &resource.CPUUse{UsedNanoseconds: 1000, ThrottledNanoseconds: 500},
		Memory: &resource.MemoryUse{UsedBytes: 7, CacheBytes: 2, LimitBytes: 8},
	}
	both := old
	both.Processes = &resource.ProcessUse{Count: 3}
	for name, tt := range map[string]struct {
		files []map[string]string
		want  resource.Sample
	}{
		"version 1": {[]map[string]string{v1}, old},
		"version 2": {[]map[string]string{v2}, resource.Sample{CPU: &resource.CPUUse{UsedNanoseconds: 2000}, Processes: &resource.ProcessUse{Count: 3}}},
		"hybrid":    {[]map[string]string{v1, v2}, both},
		"none":      {nil, resource.Sample{}},
	} {
		g := Group{dirs: map[string]string{}}
		root := t.TempDir()
		for _, files := range tt.files {
			for path, content := range files {
				controllers, file := filepath.Split(path)
				dir := filepath.Join(root, controllers)
				g.dirs[map[bool]string{true: "", false: filepath.Clean(controllers)}[controllers == "unified/"]] = dir
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := g.Sample()
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}
