package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// Endpoint is where something is served beside the API.
type Endpoint struct {
	Network string // "unix" or "tcp", as net.Listen wants it
	Address string // an absolute path, or address and port
	Setting string // the file and the key that say so, for errors
}

// maxSocketPath is what the address of a unix socket has room for (unix(7)).
const maxSocketPath = 107

// parseEndpoint reads "unix:PATH" or "ADDRESS:PORT". A name in the place of the
// address could stand for several of them, and an empty one for all.
func parseEndpoint(key, text string) (Endpoint, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		switch {
		case !filepath.IsAbs(path) || path != filepath.Clean(path) || path == "/" || strings.ContainsRune(path, 0):
			return Endpoint{}, fmt.Errorf("%s: %q: want an absolute path after \"unix:\"", key, text)
		case len(path) > maxSocketPath:
			return Endpoint{}, fmt.Errorf("%s: %q: the path is %d bytes long, want at most %d", key, text, len(path), maxSocketPath)
		}
		return Endpoint{Network: "unix", Address: path}, nil
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil || a.Port() == 0 {
		return Endpoint{}, fmt.Errorf("%s: %q: want \"unix:/PATH\", or an address and a port like \"127.0.0.1:9100\" or \"[::1]:9100\"", key, text)
	}
	return Endpoint{Network: "tcp", Address: a.String()}, nil
}
