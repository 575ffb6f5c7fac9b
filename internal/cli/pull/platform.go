package pull

import (
	"fmt"
	"slices"
	"strings"
)

// ParsePlatform parses the value of --platform; the empty one is none.
func ParsePlatform(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return "", fmt.Errorf("platform %q: want OS/ARCHITECTURE[/VARIANT], such as linux/arm64", s)
	}
	return s, nil
}

// Fits tells whether an image for the platform have is what was asked for by
// want: all images are if want is empty, those of all variants if it names none,
// and those that do not say what they are for.
func Fits(have, want string) bool {
	return want == "" || have == "" || have == want || strings.HasPrefix(have, want+"/")
}
