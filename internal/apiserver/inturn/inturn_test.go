package inturn

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestToAsk(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	all := []Candidate{
		{Skip: true},                  // does not run
		{Heard: at(30)},               // 1
		{Must: true, Heard: at(40)},   // 2
		{},                            // 3: never asked
		{Heard: at(10)},               // 4
		{Must: true, Heard: at(1000)}, // 5
		{Heard: at(20)},               // 6
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
