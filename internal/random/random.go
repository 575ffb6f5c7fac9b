// Package random has random numbers of the kernel's.
//
// It is for names, which nobody may meet by chance. What is to be kept from somebody is
// crypto/rand's, which asks the kernel for the same, and comes with modules that each
// program initializes and tests when it begins.
package random

import (
	"encoding/hex"
	"fmt"

	"golang.org/x/sys/unix"
)

// Read fills b, of at most 256 bytes: then the kernel neither gives less nor fails (getrandom(2)).
func Read(b []byte) {
	if n, err := unix.Getrandom(b, 0); err != nil || n != len(b) {
		panic(fmt.Sprintf("getrandom: %d of %d bytes: %v", n, len(b), err))
	}
}

// Text returns random hexadecimal digits, two for each of n bytes, which are at most 256.
func Text(n int) string {
	b := make([]byte, n)
	Read(b)
	return hex.EncodeToString(b)
}
