package ruleset

import (
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// Interface is the name of an interface as a field of a key.
func Interface(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// Number is a port, or another number of 16 bits, as a field of a key.
func Number(n uint16) []byte { return binaryutil.BigEndian.PutUint16(n) }

// Key joins fields to the key or the value of an element, in the order that the set has
// them in. Addresses are fields as they are, and each is padded to 4 bytes.
func Key(fields ...[]byte) []byte {
	size := 0
	for _, f := range fields {
		size += (len(f) + 3) &^ 3
	}
	all := make([]byte, 0, size)
	for _, f := range fields {
		all = append(all, f...)
		for len(all)%4 != 0 {
			all = append(all, 0)
		}
	}
	return all
}
