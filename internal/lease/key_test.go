package lease

import (
	"regexp"
	"strings"
	"testing"
)

// TestCheckKey: a key is what the expression says.
func TestCheckKey(t *testing.T) {
	t.Parallel()
	valid := regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._/-]{0,99}$`)
	keys := []string{"", "0123456789abcdef/eth0", "a", ".a", "-", "/", "a/../b", "a b", "ä", "a\n", "a\x00", strings.Repeat("a", 100), strings.Repeat("a", 101)}
	for c := range 256 {
		keys = append(keys, string([]byte{byte(c)}), string([]byte{'a', byte(c)}))
	}
	for _, key := range keys {
		if got, want := checkKey(key) == nil, valid.MatchString(key); got != want {
			t.Errorf("key %q: valid %v, want %v", key, got, want)
		}
	}
}
