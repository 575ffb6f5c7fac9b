package config

import (
	"strings"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	t.Parallel()
	const form = `want "unix:/PATH", or an address and a port`
	long := "unix:/" + strings.Repeat("x", maxSocketPath)
	for text, want := range map[string]struct {
		network, address, fault string
	}{
		"unix:/run/patchbay/metrics.sock": {"unix", "/run/patchbay/metrics.sock", ""},
		long[:len(long)-1]:                {"unix", long[5 : len(long)-1], ""},
		"127.0.0.1:9100":                  {"tcp", "127.0.0.1:9100", ""},
		"[::1]:9100":                      {"tcp", "[::1]:9100", ""},
		"0.0.0.0:1":                       {"tcp", "0.0.0.0:1", ""},
		"":                                {fault: form},
		":9100":                           {fault: form},
		"localhost:9100":                  {fault: form},
		"127.0.0.1":                       {fault: form},
		"127.0.0.1:0":                     {fault: form},
		"127.0.0.1:65536":                 {fault: form},
		"/run/metrics.sock":               {fault: form},
		"unix:":                           {fault: "want an absolute path"},
		"unix:/":                          {fault: "want an absolute path"},
		"unix:@abstract":                  {fault: "want an absolute path"},
		"unix:metrics.sock":               {fault: "want an absolute path"},
		"unix:/run/../metrics.sock":       {fault: "want an absolute path"},
		long:                              {fault: "is 108 bytes long, want at most 107"},
	} {
		got, err := parseEndpoint("metrics.listen", text)
		switch {
		case want.fault == "" && (err != nil || got.Network != want.network || got.Address != want.address):
			t.Errorf("%q: got %+v, %v, want %s %s", text, got, err, want.network, want.address)
		case want.fault != "" && (err == nil || !strings.Contains(err.Error(), want.fault) || !strings.Contains(err.Error(), "metrics.listen: \""+text)):
			t.Errorf("%q: got %v, want the key, the value and %q", text, err, want.fault)
		}
	}
}

// What is accepted is one endpoint, which says the same when it is read again.
func FuzzParseEndpoint(f *testing.F) {
	for _, seed := range []string{"unix:/run/patchbay/metrics.sock", "127.0.0.1:9100", "[::1]:9100", "[fe80::1%eth0]:1", ":9100", "unix:/a/../b", "unix:/\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseEndpoint("metrics.listen", text)
		if err != nil {
			return
		}
		again := e.Address
		if e.Network == "unix" {
			again = "unix:" + again
		}
		if same, err := parseEndpoint("metrics.listen", again); err != nil || same != e {
			t.Errorf("%q: is %+v, and read again %+v, %v", text, e, same, err)
		}
		if e.Network == "unix" && strings.ContainsRune(e.Address, 0) {
			t.Errorf("%q: a path with a zero byte", text)
		}
	})
}
