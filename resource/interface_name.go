package resource

import (
	"slices"
	"strconv"
)

// DefaultInterfaceName returns the name that the interface of an attachment has
// when nobody gives it one; index is its place among them.
func DefaultInterfaceName(index int) string { return "eth" + strconv.Itoa(index) }

// NamedInterfaces returns wishes with a name for each interface: those without
// get ethN, N their place.
func NamedInterfaces(wishes []AttachmentConfiguration) []AttachmentConfiguration {
	named := slices.Clone(wishes)
	for i, w := range named {
		if w.InterfaceName == "" {
			named[i].InterfaceName = DefaultInterfaceName(i)
		}
	}
	return named
}

// FreeInterfaceName returns the lowest ethN that none of the wishes has.
func FreeInterfaceName(wishes []AttachmentConfiguration) string {
	n := 0
	for hasInterface(wishes, DefaultInterfaceName(n)) {
		n++
	}
	return DefaultInterfaceName(n)
}

func hasInterface(wishes []AttachmentConfiguration, name string) bool {
	return slices.ContainsFunc(wishes, func(w AttachmentConfiguration) bool { return w.InterfaceName == name })
}
