// Package version says which Patchbay a binary was built from.
package version

import "runtime/debug"

// Set by the linker (Makefile); a plain go build leaves them empty.
var (
	version  string
	revision string
)

// Version is the released version, like "0.1.0", or "devel".
func Version() string {
	if version != "" {
		return version
	}
	return "devel"
}

// Revision is the commit of the source, or "unknown".
func Revision() string {
	if revision != "" {
		return revision
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
