//go:build integration

package oci_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/sandbox"
)

func TestRun(t *testing.T) {
	t.Parallel()
	h := startHelper(t, nil)
	r := h.request("sh", "-c", `cat; echo "$HOSTNAME $HOME $PWD"; echo bad >&2; exit 7`)
	r.Process.Stdin = true
	r.Process.WorkingDirectory = "/made/by/us"
	got := h.run(r, "hello\n")
	want := output{Stdout: "hello\nboxhost /root /made/by/us\n", Stderr: "bad\n", Code: 7}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	h.gone()
	var exit sandbox.ExitStatus
	data, err := os.ReadFile(filepath.Join(h.dir, "exit.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &exit); err != nil || exit.Code != 7 || exit.ExitedAt.IsZero() {
		t.Errorf("exit.json = %s (%v), want code 7 and a time", data, err)
	}
	log, err := os.ReadFile(filepath.Join(h.root, "log"))
	if err != nil || strings.Count(string(log), "\n") != 3 {
		t.Errorf("log = %s (%v), want three entries", log, err)
	}
	if left := h.cgroups(); len(left) > 0 {
		t.Errorf("cgroups left after a clean end: %v", left)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	h := startHelper(t, nil)
	h.start(h.request("sleep", "1000"))
	got := h.exec(&typesv1.Process{Args: []string{"sh", "-c", "id -u; exit 3"}, User: "user"})
	if diff := cmp.Diff(output{Stdout: "1000\n", Code: 3}, got); diff != "" {
		t.Errorf("exec (-want +got):\n%s", diff)
	}
}
