package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"patchbay.dev/patchbay/internal/layout"
)

// settings are what the environment asks for.
type settings struct {
	quick          bool     // few rounds
	parts          []string // to be measured
	peers          []string // to be measured beside Patchbay
	burst          int      // containers at once
	outside        int      // process in the network namespace of the world outside
	bundle         string   // OCI bundle with the root file system of the image, for crun
	rootfs         string   // archive of that
	work           string   // directory for the state of peers
	runRoot        string   // of the patchbayd that is measured
	results        string   // directory of what was measured
	trafficProgram string   // program of test/bench/traffic
	cgroup         string   // control group of the containers of peers
	document       string   // page that gets the tables; empty: none
	images         string   // directory that gets the pictures
}

// peers are the names of all that may be left out.
var peers = []string{"podman", "docker", "ctr", "netavark", "cni"}

func fromEnvironment(getenv func(string) string) (settings, error) {
	var faults []error
	choice := func(name string, all []string) []string {
		chosen := strings.Fields(getenv(name))
		for _, c := range chosen {
			if !slices.Contains(all, c) {
				faults = append(faults, fmt.Errorf("%s: has %q, want some of: %s", name, c, strings.Join(all, " ")))
			}
		}
		if len(chosen) == 0 {
			return all
		}
		return chosen
	}
	number := func(name, preset string, least, most int) int {
		text := getenv(name)
		if text == "" {
			text = preset
		}
		v, err := strconv.Atoi(text)
		if err != nil || v < least || v > most {
			faults = append(faults, fmt.Errorf("%s=%s: want %d to %d", name, text, least, most))
		}
		return v
	}
	s := settings{
		quick:    getenv("QUICK") != "",
		parts:    choice("PARTS", partNames()),
		peers:    choice("PEERS", peers),
		burst:    number("BURST", "50", 1, 200),
		outside:  number("OUTSIDE", "", 1, 1<<22),
		cgroup:   getenv("CGROUP"),
		document: getenv("DOCUMENT"),
	}
	if !strings.HasPrefix(s.cgroup, "/") || strings.Count(s.cgroup, "/") != 1 {
		faults = append(faults, fmt.Errorf("CGROUP=%s: want a slash and a name", s.cgroup))
	}
	for _, v := range []struct {
		name  string
		value *string
	}{
		{layout.RunRootVariable, &s.runRoot},
		{"BUNDLE", &s.bundle},
		{"ROOTFS", &s.rootfs},
		{"WORK", &s.work},
		{"RESULTS", &s.results},
		{"IMAGES", &s.images},
		{"TRAFFIC", &s.trafficProgram},
	} {
		if *v.value = getenv(v.name); !filepath.IsAbs(*v.value) {
			faults = append(faults, fmt.Errorf("%s=%s: want an absolute path", v.name, *v.value))
		}
	}
	return s, errors.Join(faults...)
}
