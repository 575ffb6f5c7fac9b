package snapshot_test

import (
	"errors"
	"testing"

	"patchbay.dev/patchbay/internal/apiserver/snapshot"
)

func TestEncodedOnce(t *testing.T) {
	t.Parallel()
	made := 0
	errRefused := errors.New("refused")
	one := &snapshot.Of[string]{Value: "web"}
	encode := func(prefix string, err error) func(*string) ([]byte, error) {
		return func(value *string) ([]byte, error) {
			made++
			return []byte(prefix + *value), err
		}
	}
	if _, err := one.Encoded(snapshot.Whole, encode("whole ", errRefused)); !errors.Is(err, errRefused) {
		t.Errorf("got %v, want the encoder's error", err)
	}
	for range 3 {
		whole, err := one.Encoded(snapshot.Whole, encode("whole ", nil))
		brief, errBrief := one.Encoded(snapshot.Brief, encode("brief ", nil))
		if string(whole) != "whole web" || string(brief) != "brief web" || err != nil || errBrief != nil {
			t.Errorf("got %q, %v and %q, %v", whole, err, brief, errBrief)
		}
	}
	if made != 3 {
		t.Errorf("encoded %d times, want once in each form, and once in vain", made)
	}
}
