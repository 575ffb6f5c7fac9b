package main

import (
	"slices"
	"strings"
	"testing"

	"patchbay.dev/patchbay/internal/layout"
)

// complete is an environment without a fault.
func complete() map[string]string {
	return map[string]string{
		"OUTSIDE": "7", "CGROUP": "/bench", "BUNDLE": "/b", "ROOTFS": "/r", "WORK": "/w", "RESULTS": "/s", "IMAGES": "/i", "TRAFFIC": "/t",
		layout.RunRootVariable: "/run",
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	environment := complete()
	get := func(name string) string { return environment[name] }
	s, err := fromEnvironment(get)
	if err != nil || s.quick || s.burst != 50 || s.outside != 7 || len(s.parts) != len(parts) || len(s.peers) != len(peers) || s.document != "" {
		t.Errorf("presets: %+v, %v", s, err)
	}
	environment["PARTS"], environment["PEERS"], environment["QUICK"], environment["BURST"] = "ports starts", "podman", "1", "3"
	s, err = fromEnvironment(get)
	if err != nil || !s.quick || s.burst != 3 || !slices.Equal(s.parts, []string{"ports", "starts"}) || !slices.Equal(s.peers, []string{"podman"}) {
		t.Errorf("chosen: %+v, %v", s, err)
	}
}

func TestSettingsFaults(t *testing.T) {
	t.Parallel()
	environment := map[string]string{"PARTS": "starts stops", "BURST": "0", "CGROUP": "/a/b", "BUNDLE": "b"}
	_, err := fromEnvironment(func(name string) string { return environment[name] })
	if err == nil {
		t.Fatal("want all faults")
	}
	for _, want := range []string{
		`PARTS: has "stops", want some of: starts changes traffic ports bursts idle`, "BURST=0: want 1 to 200", "OUTSIDE=: want",
		"CGROUP=/a/b: want a slash and a name", "BUNDLE=b: want an absolute path", "TRAFFIC=: want an absolute path",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}
