package pull

import "testing"

func TestParsePlatform(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "linux/amd64", "linux/arm/v7"} {
		if got, err := ParsePlatform(s); err != nil || got != s {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"arm64", "linux/", "/arm64", "linux/arm/v7/x"} {
		if got, err := ParsePlatform(s); err == nil {
			t.Errorf("%q: %q, want an error", s, got)
		}
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		have, want string
		fits       bool
	}{
		{"linux/amd64", "", true},
		{"", "linux/amd64", true},
		{"linux/amd64", "linux/amd64", true},
		{"linux/amd64", "linux/arm64", false},
		{"linux/arm/v7", "linux/arm", true},
		{"linux/arm64", "linux/arm", false},
		{"linux/arm/v7", "linux/arm/v6", false},
		{"linux/arm", "linux/arm/v6", false},
	}
	for _, tt := range tests {
		if got := Fits(tt.have, tt.want); got != tt.fits {
			t.Errorf("an image for %q where %q is wanted: %v", tt.have, tt.want, got)
		}
	}
}
