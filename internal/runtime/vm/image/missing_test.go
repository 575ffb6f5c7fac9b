package image

import (
	"errors"
	"testing"

	"github.com/containerd/errdefs"
)

// A program that is not there is named, with the package that has it.
func TestProgramIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for program, pkg := range map[string]string{"mkfs.erofs": "erofs-utils", "mkfs.ext4": "e2fsprogs"} {
		err := run(t.Context(), pkg, program, "x")
		if want := program + " is not installed (Debian: " + pkg + ")"; !errors.Is(err, errdefs.ErrFailedPrecondition) || err.Error() != want+": failed precondition" {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
