package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"patchbay.dev/patchbay/internal/layout"
)

// settings are what the environment asks for.
type settings struct {
	containers   int
	networksEach int
	networks     int
	ports        int
	rounds       int // of each operation beside none and beside all, on either way
	levels       int // between none and all
	idle         time.Duration
	runRoot      string
	emptyRunRoot string // of the patchbayd beside it, on a host of its own
	results      string // directory that gets what the targets need; empty: none
	document     string // page that gets the tables; empty: none
	picture      string // that gets the curves; empty: none
}

// Bounds of the settings. A bridge has at most 1023 ports (BR_MAX_PORTS of
// net/bridge/br_private.h), of which the probes need two.
const (
	maxContainers = 1020
	maxNetworks   = 4000
	firstPort     = 20000
	maxPorts      = 40000
	probePorts    = 10
	probePort     = firstPort - probePorts
)

func fromEnvironment(getenv func(string) string) (settings, error) {
	var faults []error
	number := func(name string, preset, least, most int) int {
		text := getenv(name)
		if text == "" {
			return preset
		}
		v, err := strconv.Atoi(text)
		if err != nil || v < least || v > most {
			faults = append(faults, fmt.Errorf("%s=%s: want %d to %d", name, text, least, most))
		}
		return v
	}
	var s settings
	s.containers = number("CONTAINERS", 1000, 1, maxContainers)
	s.networksEach = number("NETWORKS_EACH", 4, 1, 16)
	s.networks = number("NETWORKS", max(s.containers, s.networksEach), 1, maxNetworks)
	s.ports = number("PORTS", min(10*s.containers, maxPorts), 0, maxPorts)
	s.rounds = number("ROUNDS", 8, 1, 100)
	s.levels = number("LEVELS", 5, 1, 100)
	s.idle = time.Duration(number("IDLE", 30, 1, 600)) * time.Second
	s.document, s.picture, s.results = getenv("DOCUMENT"), getenv("PICTURE"), getenv("RESULTS")
	runRoot := func(name string) string {
		path := getenv(name)
		if !filepath.IsAbs(path) {
			faults = append(faults, fmt.Errorf("%s=%s: want the run root of a patchbayd, an absolute path", name, path))
		}
		return path
	}
	s.runRoot, s.emptyRunRoot = runRoot(layout.RunRootVariable), runRoot("EMPTY_RUN_ROOT")
	if len(faults) == 0 && s.runRoot == s.emptyRunRoot {
		faults = append(faults, fmt.Errorf("EMPTY_RUN_ROOT=%s: want that of another patchbayd than the one that is measured", s.emptyRunRoot))
	}
	if len(faults) == 0 && s.networks < s.networksEach {
		faults = append(faults, fmt.Errorf("NETWORKS=%d: want at least NETWORKS_EACH=%d", s.networks, s.networksEach))
	}
	return s, errors.Join(faults...)
}

// steps are the numbers of containers at which the operations are measured.
func (s settings) steps() []int {
	out := []int{0}
	for i := 1; i <= s.levels; i++ {
		if n := s.containers * i / s.levels; n > out[len(out)-1] {
			out = append(out, n)
		}
	}
	return out
}

// roundsAt is how often all is measured beside that many containers, on either way. What is
// between the ends is drawn, not judged.
func (s settings) roundsAt(beside int) int {
	const between = 4 // times fewer
	if beside == 0 || beside == s.containers {
		return s.rounds
	}
	return max(1, s.rounds/between)
}

// networksAt is how many networks there are beside that many containers, the common one among
// them: beside none those that a container is on, and the same part of all as of the containers.
func (s settings) networksAt(containers int) int {
	return max(s.networksEach, s.networks*containers/s.containers)
}

// portsOf are the host ports of the container of that number, counted from 0:
// the first one, and how many. Together they are as many as asked for.
func (s settings) portsOf(container int) (first, count int) {
	before := s.ports * container / s.containers
	return firstPort + before, s.ports*(container+1)/s.containers - before
}

// common is the network that all containers are on, so that one bridge has as
// many ports as there are containers.
const common = "common"

func networkName(number int) string { return fmt.Sprintf("n%d", number) }

// networksOf are the networks of the container of that number, of those that are present: the
// common one and others in turn.
func (s settings) networksOf(container, present int) []string {
	names := []string{common}
	each := s.networksEach - 1
	for i := range each {
		names = append(names, networkName((container*each+i)%(present-1)))
	}
	return names
}
