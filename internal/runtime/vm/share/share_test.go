package share

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

func TestShared(t *testing.T) {
	t.Parallel()
	mounts := []resource.Mount{
		{Type: resource.MountBind, Source: "/a", Target: "/x"},
		{Type: resource.MountTmpfs, Target: "/y"},
		{Type: resource.MountVolume, Source: "/c", Target: "/z", ReadOnly: true},
	}
	got := Shared(mounts)
	if got[0].Source != "0" || got[1].Source != "" || got[2].Source != "2" || !got[2].ReadOnly || mounts[0].Source != "/a" {
		t.Errorf("got %+v, of %+v", got, mounts)
	}
	if !Needed(mounts) || Needed(mounts[1:2]) || Needed(nil) {
		t.Error("only memory needs nothing of the host")
	}
}

func TestCheckTellsAllFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := resource.Mount{Type: resource.MountBind, Source: dir, Target: "/good", Options: []string{"rprivate", "ro", "nosuid"}}
	if err := Check([]resource.Mount{good, {Type: resource.MountTmpfs, Target: "/t"}}); err != nil {
		t.Error(err)
	}
	err := Check([]resource.Mount{
		good,
		{Type: resource.MountBind, Source: filepath.Join(dir, "none"), Target: "/missing"},
		{Type: resource.MountBind, Source: "/dev/null", Target: "/device"},
		{Type: resource.MountBind, Source: dir, Target: "/live", Options: []string{"rslave"}},
	})
	if !errdefs.IsInvalidArgument(err) {
		t.Fatalf("error %v", err)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{"mount /missing: source", "mount /device: source /dev/null", "mount /live: option rslave"} {
		if len(lines) != 3 || !strings.HasPrefix(lines[i], want) {
			t.Errorf("lines %q, want one with %q", lines, want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := func(name, script string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	older := program("older", `echo "virtiofsd version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"; echo "using FUSE"`)
	newer := program("newer", `echo "virtiofsd 1.13.2"`)
	broken := program("broken", "exit 1")
	for name, test := range map[string]struct {
		candidates []string
		want       Program
		fault      string
	}{
		"older":             {[]string{dir + "/none", older, newer}, Program{Path: older, Version: "virtiofsd version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"}, ""},
		"newer":             {[]string{newer, older}, Program{Path: newer, Version: "virtiofsd 1.13.2", Separate: true}, ""},
		"the first is dead": {[]string{broken, older}, Program{Path: older, Version: "virtiofsd version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"}, ""},
		"all are dead":      {[]string{broken}, Program{}, "none works"},
		"none":              {[]string{dir + "/none"}, Program{}, "is not installed (Debian 12: qemu-system-common, later: virtiofsd)"},
	} {
		got, err := find(context.Background(), test.candidates)
		if got != test.want || (err == nil) != (test.fault == "") || err != nil && (!strings.Contains(err.Error(), test.fault) || !errdefs.IsFailedPrecondition(err)) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// Both daemons are told the same.
func TestArguments(t *testing.T) {
	t.Parallel()
	older := Program{}.arguments("/run/a,b", 3, 1000)
	if want := []string{
		"--fd=3", "--rlimit-nofile=1000", "-f", "-o", `source=/run/a\,b`, "-o",
		"sandbox=namespace,modcaps=-mknod,cache=auto,announce_submounts,xattr,log_level=err",
	}; !slices.Equal(older, want) {
		t.Errorf("older: %q", older)
	}
	newer := Program{Separate: true}.arguments("/run/a,b", 3, 1000)
	for _, want := range []string{"--shared-dir=/run/a,b", "--fd=3", "--rlimit-nofile=1000", "--inode-file-handles=never"} {
		if !slices.Contains(newer, want) {
			t.Errorf("newer: %q, want %s", newer, want)
		}
	}
	for word := range strings.SplitSeq(older[len(older)-1], ",") {
		option := "--" + strings.ReplaceAll(strings.Replace(word, "log_level=err", "log-level=error", 1), "_", "-")
		if !slices.Contains(newer, option) {
			t.Errorf("newer: %q, want %s", newer, option)
		}
	}
}
