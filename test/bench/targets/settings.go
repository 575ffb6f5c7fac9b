package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"patchbay.dev/patchbay/internal/layout"
)

// settings are what the environment asks for.
type settings struct {
	rounds   int    // of each row
	burst    int    // containers at once
	bundle   string // OCI bundle with the root file system of box:latest, for crun
	runRoot  string
	document string // page that gets the table; empty: none
}

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
	s := settings{rounds: number("ROUNDS", 30, 1, 1000), burst: number("BURST", 50, 1, 500), document: getenv("DOCUMENT")}
	for name, value := range map[string]*string{layout.RunRootVariable: &s.runRoot, "BUNDLE": &s.bundle} {
		if *value = getenv(name); !filepath.IsAbs(*value) {
			faults = append(faults, fmt.Errorf("%s=%s: want an absolute path", name, *value))
		}
	}
	return s, errors.Join(faults...)
}
