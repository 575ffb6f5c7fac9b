package inturn

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(second int) time.Time { return time.Unix(int64(second), 0) }

func TestRounds(t *testing.T) {
	t.Parallel()
	all := []Candidate{
		{Skip: true},                  // does not run
		{Heard: at(30)},               // 1
		{Must: true, Heard: at(40)},   // 2
		{},                            // 3: never asked
		{Heard: at(10)},               // 4
		{Must: true, Heard: at(1000)}, // 5
		{Heard: at(20)},               // 6
	}
	for most, want := range map[int][2][]int{
		0:  {{2, 5}, {}},
		2:  {{2, 5}, {3, 4}},
		3:  {{2, 5}, {3, 4, 6}},
		4:  {{1, 2, 3, 4, 5, 6}, {}},
		99: {{1, 2, 3, 4, 5, 6}, {}},
	} {
		var mu sync.Mutex
		got := [2][]int{{}, {}}
		note := func(which int) func(int) {
			return func(place int) {
				mu.Lock()
				defer mu.Unlock()
				got[which] = append(got[which], place)
			}
		}
		NewRounds(most, func(f func()) { f() }).Ask(all, note(0), note(1))
		for _, places := range got {
			slices.Sort(places)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at most %d (-want +got):\n%s", most, diff)
		}
	}
}

// Nobody waits for a round beside a list, and there is one at a time.
func TestRoundsBeside(t *testing.T) {
	t.Parallel()
	var besides []func()
	rounds := NewRounds(1, func(f func()) { besides = append(besides, f) })
	all := []Candidate{{Must: true}, {Heard: at(2)}, {Heard: at(1)}}
	var asked []string
	list := func() {
		rounds.Ask(all,
			func(place int) { asked = append(asked, fmt.Sprint("ask ", place)) },
			func(place int) { asked = append(asked, fmt.Sprint("check ", place)) })
	}
	list()
	list()
	if len(besides) != 1 {
		t.Fatalf("%d rounds are under way, want 1", len(besides))
	}
	besides[0]()
	all[2].Heard = at(3)
	list()
	besides[1]()
	if diff := cmp.Diff([]string{"ask 0", "ask 0", "check 2", "ask 0", "check 1"}, asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
