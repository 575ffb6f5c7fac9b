package resource

import (
	"errors"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

func TestImageRunConfigurationValidate(t *testing.T) {
	t.Parallel()
	if err := (ImageRunConfiguration{}).Validate(); err != nil {
		t.Errorf("empty: %v", err)
	}
	good := ImageRunConfiguration{Env: []string{"A=", "B=c=d"}, WorkingDirectory: "/w", Volumes: []string{"/v"}}
	if err := good.Validate(); err != nil {
		t.Errorf("good: %v", err)
	}
	bad := ImageRunConfiguration{Env: []string{"A", "=b"}, WorkingDirectory: "w", Volumes: []string{"v"}}
	err := bad.Validate()
	if !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Fatalf("error = %v, want invalid argument", err)
	}
	want := `environment "A": want NAME=VALUE
environment "=b": want NAME=VALUE
working directory "w": want an absolute path
volume "v": want an absolute path`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
