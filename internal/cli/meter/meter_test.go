package meter_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/cli/meter"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/resource"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sampled is a container that has used so much CPU time and sent so many bytes at
// a time after began.
func sampled(name string, at, cpu time.Duration, sent uint64) resource.ContainerStats {
	return resource.ContainerStats{ID: "id-" + name, Name: name, Sample: resource.Sample{
		Time: began.Add(at), CPU: &resource.CPUUse{UsedNanoseconds: uint64(cpu)},
		Attachments: []resource.AttachmentTraffic{{NetworkID: "1", Network: "web", InterfaceName: "eth0", Received: &resource.Traffic{}, Sent: &resource.Traffic{Bytes: sent}}},
	}}
}

func TestCPUPercent(t *testing.T) {
	t.Parallel()
	halfAgain := 150.0
	none := 0.0
	uncounted := sampled("web", 2*time.Second, 0, 0)
	uncounted.CPU = nil
	tests := map[string]struct {
		before, now resource.ContainerStats
		want        *float64
	}{
		"busy with a processor and a half": {sampled("web", 0, time.Second, 0), sampled("web", 2*time.Second, 4*time.Second, 0), &halfAgain},
		"idle":                             {sampled("web", 0, time.Second, 0), sampled("web", 2*time.Second, time.Second, 0), &none},
		"another container":                {sampled("db", 0, time.Second, 0), sampled("web", 2*time.Second, 4*time.Second, 0), nil},
		"started anew":                     {sampled("web", 0, 4*time.Second, 0), sampled("web", 2*time.Second, time.Second, 0), nil},
		"not counted any more":             {sampled("web", 0, time.Second, 0), uncounted, nil},
		"not counted before":               {uncounted, sampled("web", 4*time.Second, time.Second, 0), nil},
		"at the same time":                 {sampled("web", 0, time.Second, 0), sampled("web", 0, 2*time.Second, 0), nil},
		"the clock was set back":           {sampled("web", 2*time.Second, time.Second, 0), sampled("web", 0, 2*time.Second, 0), nil},
		"no answer before":                 {resource.ContainerStats{ID: "id-web", Fault: "hangs"}, sampled("web", 2*time.Second, time.Second, 0), nil},
		"no answer now":                    {sampled("web", 0, time.Second, 0), resource.ContainerStats{ID: "id-web", Fault: "hangs"}, nil},
	}
	for name, tt := range tests {
		var m meter.Meter
		if first := m.Rows([]resource.ContainerStats{tt.before}); first[0].CPUPercent != nil {
			t.Errorf("%s: first sample: %v%%", name, *first[0].CPUPercent)
		}
		if diff := cmp.Diff(tt.want, m.Rows([]resource.ContainerStats{tt.now})[0].CPUPercent); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A container that was away is not compared with what it was before.
func TestMeterForgets(t *testing.T) {
	t.Parallel()
	var m meter.Meter
	m.Rows([]resource.ContainerStats{sampled("web", 0, 0, 0)})
	m.Rows(nil)
	if r := m.Rows([]resource.ContainerStats{sampled("web", time.Second, time.Second, 0)}); r[0].CPUPercent != nil {
		t.Errorf("%v%%", *r[0].CPUPercent)
	}
}

// The tables as people see them; UPDATE=1 writes the golden files anew.
func TestTables(t *testing.T) {
	t.Parallel()
	full := func(at, cpu time.Duration, scale uint64) resource.ContainerStats {
		s := sampled("web", at, cpu, 0)
		s.Memory = &resource.MemoryUse{UsedBytes: 40 << 20, CacheBytes: 8 << 20, LimitBytes: 64 << 20}
		s.Processes = &resource.ProcessUse{Count: 3, Limit: 20}
		s.Block = &resource.BlockUse{ReadBytes: 4096, WrittenBytes: 8 << 20, Reads: 1, Writes: 8}
		s.Attachments = []resource.AttachmentTraffic{
			{NetworkID: "1", Network: "web", InterfaceName: "eth0", Received: &resource.Traffic{Bytes: 1_500_000 * scale, Packets: 1000 * scale}, Sent: &resource.Traffic{Bytes: 70_000 * scale, Packets: 900 * scale, Dropped: 2}},
			{NetworkID: "2", Network: "lan", InterfaceName: "wire", Received: &resource.Traffic{Bytes: 100, Packets: 1, Errors: 1}, Sent: &resource.Traffic{}},
			{NetworkID: "3", Network: "gone", InterfaceName: "eth2"},
		}
		return s
	}
	bare := resource.ContainerStats{ID: "id-bare", Name: "bare", Sample: resource.Sample{
		Time: began, Memory: &resource.MemoryUse{UsedBytes: 4096, CacheBytes: 8192}, Processes: &resource.ProcessUse{Count: 1}, // the cache was counted later
	}}
	hung := resource.ContainerStats{ID: "id-hung", Name: "hung", Fault: "its runtime helper does not answer"}
	var m meter.Meter
	first := m.Rows([]resource.ContainerStats{full(0, 0, 1), bare})
	second := m.Rows([]resource.ContainerStats{full(2*time.Second, 250*time.Millisecond, 3), bare, hung})
	for name, table := range map[string]*output.Table{
		"containers-first":  meter.Containers(first),
		"containers-second": meter.Containers(second),
		"networks-first":    meter.Networks(first),
		"networks-second":   meter.Networks(second),
		"containers-none":   meter.Containers(nil),
	} {
		var got strings.Builder
		if err := table.Write(&got); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".golden")
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
