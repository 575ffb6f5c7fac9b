package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestToAsk(t *testing.T) {
	t.Parallel()
	alive, dead := make(chan struct{}), make(chan struct{})
	close(dead)
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	all := []Candidate{
		{},                         // does not run
		{died: alive, at: at(30)},  // 1
		{died: dead, at: at(40)},   // 2
		{died: alive},              // 3: never asked
		{died: alive, at: at(10)},  // 4
		{died: dead, at: at(1000)}, // 5
		{died: alive, at: at(20)},  // 6
	}
	for most, want := range map[int][]int{
		0:  {2, 5},
		2:  {2, 5, 3, 4},
		3:  {2, 5, 3, 4, 6},
		99: {2, 5, 3, 4, 6, 1},
	} {
		if diff := cmp.Diff(want, toAsk(all, most)); diff != "" {
			t.Errorf("at most %d (-want +got):\n%s", most, diff)
		}
	}
}
