package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string {
		if v, ok := values[name]; ok {
			return v
		}
		return map[string]string{"PATCHBAY_RUN_ROOT": "/run/x", "EMPTY_RUN_ROOT": "/run/y"}[name]
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	got, err := fromEnvironment(environment(map[string]string{"CONTAINERS": "100", "IDLE": "5"}))
	want := settings{
		containers: 100, networksEach: 4, networks: 100, ports: 1000, rounds: 8, levels: 5,
		idle: 5 * time.Second, runRoot: "/run/x", emptyRunRoot: "/run/y",
	}
	if err != nil || got != want {
		t.Errorf("settings = %+v, %v, want %+v", got, err, want)
	}
}

func TestSettingsFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		values map[string]string
		want   []string
	}{
		"all at once":           {map[string]string{"CONTAINERS": "0", "PORTS": "many", "PATCHBAY_RUN_ROOT": ""}, []string{"CONTAINERS=0", "PORTS=many", "PATCHBAY_RUN_ROOT="}},
		"more than a bridge":    {map[string]string{"CONTAINERS": "1024"}, []string{"CONTAINERS=1024: want 1 to 1020"}},
		"no second host":        {map[string]string{"EMPTY_RUN_ROOT": ""}, []string{"EMPTY_RUN_ROOT="}},
		"one host for both":     {map[string]string{"EMPTY_RUN_ROOT": "/run/x"}, []string{"want that of another patchbayd"}},
		"more each than in all": {map[string]string{"NETWORKS": "3"}, []string{"NETWORKS=3: want at least NETWORKS_EACH=4"}},
	} {
		_, err := fromEnvironment(environment(tt.values))
		for _, part := range tt.want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error = %v, want %q in it", name, err, part)
			}
		}
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]settings{
		"[0 20 40 60 80 100]": {containers: 100, levels: 5},
		"[0 1 2]":             {containers: 2, levels: 5},
		"[0 7]":               {containers: 7, levels: 1},
	} {
		if got := fmt.Sprint(s.steps()); got != want {
			t.Errorf("steps = %v, want %v", got, want)
		}
	}
}

// Every port is one container's, and their number is the one asked for.
func TestPorts(t *testing.T) {
	t.Parallel()
	for _, ports := range []int{0, 1, 7, 10, 95} {
		s := settings{containers: 10, ports: ports}
		next := firstPort
		for c := range s.containers {
			first, count := s.portsOf(c)
			if first != next {
				t.Errorf("%d ports: container %d begins at %d, want %d", ports, c, first, next)
			}
			next += count
		}
		if next-firstPort != ports {
			t.Errorf("%d ports: %d were given", ports, next-firstPort)
		}
	}
}

func TestNetworksOf(t *testing.T) {
	t.Parallel()
	s := settings{networksEach: 4}
	for container, want := range map[int][]string{
		0: {"common", "n0", "n1", "n2"},
		1: {"common", "n3", "n4", "n0"},
	} {
		if diff := cmp.Diff(want, s.networksOf(container, 6)); diff != "" {
			t.Errorf("container %d (-want +got):\n%s", container, diff)
		}
	}
	alone := settings{networksEach: 1}
	if diff := cmp.Diff([]string{"common"}, alone.networksOf(3, 1)); diff != "" {
		t.Errorf("one network (-want +got):\n%s", diff)
	}
}

// Networks come with the containers, and beside none there are those of one container.
func TestNetworksAt(t *testing.T) {
	t.Parallel()
	s := settings{containers: 100, networksEach: 4, networks: 50}
	for containers, want := range map[int]int{0: 4, 2: 4, 20: 10, 100: 50} {
		if got := s.networksAt(containers); got != want {
			t.Errorf("beside %d containers: %d networks, want %d", containers, got, want)
		}
	}
}

func TestRoundsAt(t *testing.T) {
	t.Parallel()
	s := settings{containers: 100, rounds: 8}
	for beside, want := range map[int]int{0: 8, 20: 2, 100: 8} {
		if got := s.roundsAt(beside); got != want {
			t.Errorf("beside %d: %d rounds, want %d", beside, got, want)
		}
	}
	if got := (settings{containers: 100, rounds: 1}).roundsAt(20); got != 1 {
		t.Errorf("of one round: %d between the ends, want one", got)
	}
}
