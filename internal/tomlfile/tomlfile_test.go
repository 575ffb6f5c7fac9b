package tomlfile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/tomlfile"
)

// What is wrong is told in the words of the file, by line and key.
func TestFaults(t *testing.T) {
	t.Parallel()
	type table struct {
		Name  string   `toml:"name"`
		Count *int     `toml:"count"`
		On    bool     `toml:"on"`
		All   []string `toml:"all"`
	}
	type file struct {
		table
		Below  map[string]string `toml:"below"`
		Tables []table           `toml:"tables"`
	}
	for name, tt := range map[string]struct{ content, want string }{
		"a number for a string":   {"name = 5", `f.toml: line 1: key "name": has a value of the kind integer, want a string`},
		"a string for a number":   {"\ncount = \"five\"", `f.toml: line 2: key "count": has a value of the kind string, want a whole number`},
		"a string for a switch":   {`on = "yes"`, `f.toml: line 1: key "on": has a value of the kind string, want true or false`},
		"a string for an array":   {`all = "a"`, `f.toml: line 1: key "all": has a value of the kind string, want an array`},
		"a number for a table":    {"below = 5", `f.toml: line 1: key "below": has a value of the kind integer, want a table`},
		"in an array of tables":   {"[[tables]]\nname = true", `f.toml: line 2: key "tables.name": has a value of the kind boolean, want a string`},
		"a key that is not known": {"colour = 1", `f.toml: line 1: unknown key "colour"`},
		"no toml":                 {"all = [", `f.toml: line 1: array is incomplete`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var v file
			err := tomlfile.Decode("f.toml", strings.NewReader(tt.content), &v)
			if !errors.Is(err, errdefs.ErrInvalidArgument) || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}
