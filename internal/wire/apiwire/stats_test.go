package apiwire_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// What is not counted is told from what is counted and 0, and nothing is mixed up
// on the way.
func TestSamplesGoThroughWhole(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]resource.ContainerStats{
		"nothing is counted": {ID: "1", Name: "web"},
		"a fault":            {ID: "1", Name: "web", Fault: "does not answer"},
		"all is 0": {ID: "1", Name: "web", Sample: resource.Sample{
			Time: time.Unix(7, 8).UTC(), CPU: &resource.CPUUse{}, Memory: &resource.MemoryUse{}, Processes: &resource.ProcessUse{}, Block: &resource.BlockUse{},
			Attachments: []resource.AttachmentTraffic{{NetworkID: "n", Network: "data", InterfaceName: "eth0", Received: &resource.Traffic{}, Sent: &resource.Traffic{}}},
		}},
		"all is different": {ID: "1", Name: "web", Sample: resource.Sample{
			Time:      time.Unix(1, 2).UTC(),
			CPU:       &resource.CPUUse{UsedNanoseconds: 3, ThrottledNanoseconds: 4},
			Memory:    &resource.MemoryUse{UsedBytes: 5, CacheBytes: 6, LimitBytes: 7},
			Processes: &resource.ProcessUse{Count: 8, Limit: 9},
			Block:     &resource.BlockUse{ReadBytes: 10, WrittenBytes: 11, Reads: 12, Writes: 13},
			Attachments: []resource.AttachmentTraffic{
				{NetworkID: "n", Network: "data", InterfaceName: "eth0", Received: &resource.Traffic{Bytes: 14, Packets: 15, Errors: 16, Dropped: 17}, Sent: &resource.Traffic{Bytes: 18, Packets: 19, Errors: 20, Dropped: 21}},
				{NetworkID: "m", Network: "lan", InterfaceName: "eth1"},
			},
		}},
	} {
		if diff := cmp.Diff(s, apiwire.ContainerStatsFromProto(apiwire.ContainerStatsToProto(s))); diff != "" {
			t.Errorf("%s (-before +after):\n%s", name, diff)
		}
	}
}
