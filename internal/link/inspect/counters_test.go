package inspect

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

// A device that its driver has reset counts from 0 and not from far below it.
func TestSince(t *testing.T) {
	t.Parallel()
	before := Counters{Received: resource.Traffic{Bytes: 100, Packets: 10, Errors: 1, Dropped: 2}, Sent: resource.Traffic{Bytes: 50, Packets: 5}}
	for name, c := range map[string]struct{ now, want Counters }{
		"nothing went over it": {before, Counters{}},
		"something did": {
			Counters{Received: resource.Traffic{Bytes: 107, Packets: 11, Errors: 4, Dropped: 7}, Sent: resource.Traffic{Bytes: 52, Packets: 6}},
			Counters{Received: resource.Traffic{Bytes: 7, Packets: 1, Errors: 3, Dropped: 5}, Sent: resource.Traffic{Bytes: 2, Packets: 1}},
		},
		"it was reset": {
			Counters{Received: resource.Traffic{Bytes: 7, Packets: 1}},
			Counters{Received: resource.Traffic{Bytes: 7, Packets: 1}},
		},
	} {
		if diff := cmp.Diff(c.want, c.now.Since(before)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
