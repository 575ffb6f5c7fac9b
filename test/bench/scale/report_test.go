package main

import (
	"strings"
	"testing"
	"time"

	"patchbay.dev/patchbay/test/bench/curve"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/result"
)

// All targets about scale are judged by what a run keeps.
func TestPart(t *testing.T) {
	t.Parallel()
	var set curve.Set
	for _, operation := range []string{opStart, opPublish, opConnect, opResolve, opInspect, opList, opListLine, opLine, opNetworkListLine, opNetworkLine, opRemove, opReference} {
		for beside := range 3 {
			set.Add(operation, 100*beside, false, time.Duration(beside+1)*10*time.Millisecond)
		}
	}
	networks := make([]time.Duration, 10)
	for i := range networks {
		networks[i] = time.Duration(i+1) * time.Millisecond
	}
	r := report{settings: settings{containers: 200, ports: 2000}, curves: set.Curves, networks: networks}
	p := r.part()
	judged := 0
	for _, v := range goal.Judge([]result.Part{p}) {
		if !strings.HasPrefix(v.ID, "scale-") {
			continue // of another run
		}
		judged++
		if v.Met == goal.Unknown {
			t.Errorf("%s: unknown: %s", v.ID, v.Why)
		}
	}
	if judged != len(p.Measurements) {
		t.Errorf("%d targets judged by %d measurements", judged, len(p.Measurements))
	}
	start, _, _ := result.Find([]result.Part{p}, "scale-start")
	if got := start.Ratio(start.Of(goal.Patchbay), start.Of(goal.First)); got != 3 || start.What != "start beside 200 containers" {
		t.Errorf("%s: grows to %v, want 3 beside 200 containers", start.What, got)
	}
	if got := start.Ratio(start.Of(goal.Machine), start.Of(goal.MachineFirst)); got != 3 {
		t.Errorf("what is no part of Patchbay grows to %v, want 3", got)
	}
	create, _, _ := result.Find([]result.Part{p}, "scale-network")
	if got := create.Of(goal.Patchbay).Values; len(got) != 2 || got[0] != 9 {
		t.Errorf("networks: the last fifth is %v, want 9 and 10", got)
	}
}
