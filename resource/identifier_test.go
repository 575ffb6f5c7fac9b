package resource_test

import (
	"testing"

	"patchbay.dev/patchbay/resource"
)

func TestIsID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		resource.NewID(): true, "0123456789abcdef": true,
		"": false, "0123456789ABCDEF": false, "0123456789abcdeg": false, "0123456789abcde": false, "0123456789abcdef00": false,
	} {
		if got := resource.IsID(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestIsIDPrefix(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"0123456789abcdef": true, "0123": true, "012": false, "": false, "1234": false, "0123456789abcdef0": false} {
		if got := resource.IsIDPrefix(text, "0123456789abcdef"); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
