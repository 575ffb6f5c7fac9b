package resource

import (
	"crypto/rand"
	"encoding/hex"
)

// NewID returns a fresh random identifier: 16 lower-case hexadecimal digits.
// It is short enough for paths of unix sockets (108 bytes, unix(7)).
func NewID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
