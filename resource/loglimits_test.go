package resource

import (
	"strings"
	"testing"
)

func TestLogLimitsSet(t *testing.T) {
	t.Parallel()
	for option, want := range map[string]LogLimits{
		"max-size=64k":    {MaxBytes: 64 << 10, MaxFiles: 7},
		"max-size=10M":    {MaxBytes: 10 << 20, MaxFiles: 7},
		"max-size=2g":     {MaxBytes: 2 << 30, MaxFiles: 7},
		"max-size=100000": {MaxBytes: 100000, MaxFiles: 7},
		"max-size=-1":     {MaxBytes: NoLogLimit, MaxFiles: 7},
		"max-file=1":      {MaxBytes: 1 << 20, MaxFiles: 1},
	} {
		l := LogLimits{MaxBytes: 1 << 20, MaxFiles: 7}
		key, value, _ := strings.Cut(option, "=")
		if err := l.Set(key, value); err != nil || l != want {
			t.Errorf("%s: %+v, %v, want %+v", option, l, err, want)
		}
	}
	for option, want := range map[string]string{
		"max-size=":                     `log max-size "": want a size like 10m, or -1 for no limit`,
		"max-size=0":                    `log max-size "0": want`,
		"max-size=m":                    `log max-size "m": want`,
		"max-size=10mm":                 `log max-size "10mm": want`,
		"max-size=10t":                  `log max-size "10t": want`,
		"max-size=-2":                   `log max-size "-2": want`,
		"max-size=-1k":                  `log max-size "-1k": want`,
		"max-size=9223372036854775807g": `log max-size "9223372036854775807g": want`,
		"max-size=63k":                  "log max-size 64512: want at least 65536 bytes",
		"max-file=0":                    `log max-file "0": want 1 to 100`,
		"max-file=101":                  "log max-file 101: want 1 to 100",
		"max-file=x":                    `log max-file "x": want 1 to 100`,
		"compress=true":                 `log option "compress": want max-size or max-file`,
	} {
		var l LogLimits
		key, value, _ := strings.Cut(option, "=")
		if err := l.Set(key, value); err == nil || !strings.HasPrefix(err.Error(), want) || l != (LogLimits{}) {
			t.Errorf("%s: %+v, %v, want %q", option, l, err, want)
		}
	}
}
