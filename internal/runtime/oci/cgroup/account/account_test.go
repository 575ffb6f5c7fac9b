package account_test

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/oci/cgroup/account"
	"patchbay.dev/patchbay/resource"
)

// group is the files of a control group, by "CONTROLLER/FILE" for version 1.
type group map[string]string

func (g group) read(controller, file string) ([]byte, error) {
	content, ok := g[path.Join(controller, file)]
	switch {
	case !ok:
		return nil, fs.ErrNotExist
	case content == gone:
		return nil, &fs.PathError{Op: "read", Path: file, Err: unix.ENODEV}
	}
	return []byte(content), nil
}

// gone stands for the answer of a file whose group was removed while it was open.
const gone = "gone"

// Of Linux 6.18, a group with limits of which a shell has run into one.
var limitedV1 = group{
	"cpuacct/cpuacct.usage":        "224222861\n",
	"cpu/cpu.stat":                 "nr_periods 13\nnr_throttled 10\nthrottled_time 595355588\nnr_bursts 0\nburst_time 0\n",
	"memory/memory.usage_in_bytes": "294912\n",
	"memory/memory.limit_in_bytes": "67108864\n",
	"memory/memory.stat": `cache 90112
rss 0
inactive_anon 0
active_anon 0
inactive_file 0
active_file 86016
unevictable 0
hierarchical_memory_limit 67108864
hierarchical_memsw_limit 9223372036854771712
total_cache 90112
total_rss 0
total_shmem 0
total_inactive_anon 0
total_active_anon 0
total_inactive_file 4096
total_active_file 86016
total_unevictable 0
`,
	"pids/pids.current": "3\n",
	"pids/pids.max":     "100\n",
	"blkio/blkio.throttle.io_service_bytes_recursive": `254:0 Read 4096
254:0 Write 8388608
254:0 Sync 8392704
254:0 Async 0
254:0 Discard 0
254:0 Total 8392704
7:0 Read 512
7:0 Write 0
7:0 Sync 512
7:0 Async 0
7:0 Discard 0
7:0 Total 512
Total 8393216
`,
	"blkio/blkio.throttle.io_serviced_recursive": `254:0 Read 1
254:0 Write 8
254:0 Sync 9
254:0 Async 0
254:0 Discard 0
254:0 Total 9
7:0 Read 1
7:0 Write 0
7:0 Sync 1
7:0 Async 0
7:0 Discard 0
7:0 Total 1
Total 10
`,
}

// Of Linux 6.1.
var limitedV2 = group{
	"cpu.stat": `usage_usec 224222
user_usec 150017
system_usec 74205
core_sched.force_idle_usec 0
nr_periods 13
nr_throttled 10
throttled_usec 595355
nr_bursts 0
burst_usec 0
`,
	"memory.current": "8675328\n",
	"memory.max":     "67108864\n",
	"memory.stat": `anon 151552
file 8388608
kernel 135168
kernel_stack 16384
pagetables 40960
sec_pagetables 0
percpu 0
sock 0
shmem 0
file_mapped 0
file_dirty 0
file_writeback 0
swapcached 0
anon_thp 0
file_thp 0
shmem_thp 0
inactive_anon 147456
active_anon 4096
inactive_file 8302592
active_file 86016
unevictable 0
slab_reclaimable 28088
slab_unreclaimable 32816
slab 60904
workingset_refault_anon 0
workingset_refault_file 0
pgscan 0
pgsteal 0
pgfault 1043
pgmajfault 1
thp_fault_alloc 0
`,
	"pids.current": "3\n",
	"pids.max":     "100\n",
	"io.stat": `254:0 rbytes=4096 wbytes=8388608 rios=1 wios=8 dbytes=0 dios=0
7:0 rbytes=512 wbytes=0 rios=1 wios=0 dbytes=0 dios=0 cost.vrate=100.00
253:1
`,
}

var limited = resource.Sample{
	Memory:    &resource.MemoryUse{LimitBytes: 64 << 20},
	Processes: &resource.ProcessUse{Count: 3, Limit: 100},
	Block:     &resource.BlockUse{ReadBytes: 4608, WrittenBytes: 8 << 20, Reads: 2, Writes: 8},
}

func with(s resource.Sample, c resource.CPUUse, m resource.MemoryUse) resource.Sample {
	m.LimitBytes = s.Memory.LimitBytes
	s.CPU, s.Memory = &c, &m
	return s
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	type version func(account.Read) (resource.Sample, error)
	tests := map[string]struct {
		version version
		files   group
		want    resource.Sample
		faults  []string
	}{
		"version 1": {account.V1, limitedV1, with(limited, resource.CPUUse{UsedNanoseconds: 224222861, ThrottledNanoseconds: 595355588}, resource.MemoryUse{UsedBytes: 294912, CacheBytes: 4096}), nil},
		"version 2": {account.V2, limitedV2, with(limited, resource.CPUUse{UsedNanoseconds: 224222000, ThrottledNanoseconds: 595355000}, resource.MemoryUse{UsedBytes: 8675328, CacheBytes: 8302592}), nil},
		"version 1 without limits": {account.V1, group{
			"cpuacct/cpuacct.usage":        "1\n",
			"cpu/cpu.stat":                 "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
			"memory/memory.usage_in_bytes": "2\n", "memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.stat": "total_inactive_file 0\n",
			"pids/pids.current": "3\n", "pids/pids.max": "max\n",
			"blkio/blkio.throttle.io_service_bytes": "Total 0\n", "blkio/blkio.throttle.io_serviced": "Total 0\n", // without those that are recursive
		}, resource.Sample{CPU: &resource.CPUUse{UsedNanoseconds: 1}, Memory: &resource.MemoryUse{UsedBytes: 2}, Processes: &resource.ProcessUse{Count: 3}, Block: &resource.BlockUse{}}, nil},
		"version 2 without limits": {account.V2, group{
			"cpu.stat":       "usage_usec 1\nuser_usec 1\nsystem_usec 0\n", // without the controller
			"memory.current": "2\n", "memory.max": "max\n", "memory.stat": "inactive_file 0\n",
			"pids.current": "3\n", "pids.max": "max\n", "io.stat": "",
		}, resource.Sample{CPU: &resource.CPUUse{UsedNanoseconds: 1000}, Memory: &resource.MemoryUse{UsedBytes: 2}, Processes: &resource.ProcessUse{Count: 3}, Block: &resource.BlockUse{}}, nil},
		"version 1 without controllers": {account.V1, group{}, resource.Sample{}, nil},
		"version 2 without controllers": {account.V2, group{"cpu.stat": "usage_usec 1\n"}, resource.Sample{CPU: &resource.CPUUse{UsedNanoseconds: 1000}}, nil},
		"version 1, removed meanwhile":  {account.V1, group{"cpuacct/cpuacct.usage": gone, "memory/memory.usage_in_bytes": gone, "pids/pids.current": gone}, resource.Sample{}, nil},
		"version 2, removed meanwhile":  {account.V2, group{"cpu.stat": gone, "memory.current": gone, "pids.current": gone, "io.stat": gone}, resource.Sample{}, nil},
		"version 1, nonsense": {
			account.V1,
			group{"cpuacct/cpuacct.usage": "-1\n", "memory/memory.usage_in_bytes": "\n", "blkio/blkio.throttle.io_service_bytes": "8:0 Read\n8:0 Write many\n"},
			resource.Sample{Block: &resource.BlockUse{}},
			[]string{`cpuacct.usage: cannot make sense of "-1"`, `memory.usage_in_bytes: cannot make sense of ""`, `"8:0 Read\n"`, `"8:0 Write many\n"`},
		},
		"version 2, nonsense": {
			account.V2,
			group{"cpu.stat": "usage_usec\n", "pids.current": "many\n"},
			resource.Sample{CPU: &resource.CPUUse{}},
			[]string{`cpu.stat: cannot make sense of "usage_usec\n"`, `pids.current: cannot make sense of "many"`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.version(tt.files.read)
			if (err != nil) != (tt.faults != nil) {
				t.Fatalf("error %v, want faults %q", err, tt.faults)
			}
			for _, fault := range tt.faults {
				if !strings.Contains(err.Error(), fault) {
					t.Errorf("error %v, want it to say %s", err, fault)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A file that cannot be read is no file that is not there.
func TestUnreadableFilesAreTold(t *testing.T) {
	t.Parallel()
	refused := func(string, string) ([]byte, error) { return nil, fs.ErrPermission }
	if _, err := account.V1(refused); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("version 1: error %v", err)
	}
	if _, err := account.V2(refused); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("version 2: error %v", err)
	}
}
