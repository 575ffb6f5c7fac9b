package resource

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// MinIDPrefix is how many digits of an id stand for it, at least, where they are
// unique. With fewer, a name that is gone or mistyped would often be taken for
// the id of something else.
const MinIDPrefix = 4

// IsIDPrefix reports whether text stands for id by its first digits.
func IsIDPrefix(text, id string) bool {
	return len(text) >= MinIDPrefix && strings.HasPrefix(id, text)
}

// NewID returns a fresh random identifier: 16 lower-case hexadecimal digits.
// It is short enough for paths of unix sockets (108 bytes, unix(7)).
func NewID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
