package revert_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/revert"
)

func TestStack(t *testing.T) {
	t.Parallel()
	errCause, errUndo := errors.New("cause"), errors.New("undo")
	for name, tc := range map[string]struct {
		success bool
		cause   error
		want    []string
	}{
		"failure undoes in reverse order": {cause: errCause, want: []string{"c", "b", "a"}},
		"success keeps":                   {success: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			run := func() (err error) {
				var undo revert.Stack
				defer undo.Run(&err)
				undo.Add(func() error { got = append(got, "a"); return nil })
				undo.Add(func() error { got = append(got, "b"); return errUndo })
				undo.Add(func() error { got = append(got, "c"); return nil })
				if tc.success {
					undo.Success()
				}
				return tc.cause
			}
			err := run()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("undone (-want +got):\n%s", diff)
			}
			if !errors.Is(err, tc.cause) {
				t.Errorf("error = %v, want it to hold %v", err, tc.cause)
			}
			if got, want := errors.Is(err, errUndo), !tc.success; got != want {
				t.Errorf("error of undoing joined = %v, want %v", got, want)
			}
		})
	}
}
