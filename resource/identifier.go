package resource

import (
	"encoding/hex"
	"strings"

	"patchbay.dev/patchbay/internal/random"
)

// MinIDPrefix is how many digits of an id stand for it, at least, where they are
// unique. With fewer, a name that is gone or mistyped would often be taken for
// the id of something else.
const MinIDPrefix = 4

// IsIDPrefix reports whether text stands for id by its first digits.
func IsIDPrefix(text, id string) bool {
	return len(text) >= MinIDPrefix && strings.HasPrefix(id, text)
}

// IsID reports whether text has the form of what NewID returns.
func IsID(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == idBytes && text == strings.ToLower(text)
}

const idBytes = 8

// NewID returns a fresh random identifier: 16 lower-case hexadecimal digits.
// It is short enough for paths of unix sockets (108 bytes, unix(7)).
func NewID() string {
	return random.Text(idBytes)
}
