package parse

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lookup finds a variable of the caller's environment, as os.LookupEnv does.
type Lookup func(name string) (string, bool)

// Environment parses the values of a repeated -e: NAME=VALUE, or NAME for the
// caller's own value. A NAME that the caller does not have is left out.
func Environment(values []string, lookup Lookup) ([]string, error) {
	var out []string
	var errs []error
	for _, v := range values {
		name, _, given := strings.Cut(v, "=")
		if name == "" {
			errs = append(errs, fmt.Errorf("environment %q: want NAME=VALUE or NAME", v))
			continue
		}
		if given {
			out = append(out, v)
		} else if value, ok := lookup(name); ok {
			out = append(out, name+"="+value)
		}
	}
	return out, errors.Join(errs...)
}

// EnvironmentFile reads lines of NAME=VALUE or NAME from the file called path.
// White space in front of a line is dropped, lines that are empty or start with
// "#" are left out, and quotes mean nothing. These are the rules of other
// container engines, so that their files can be used.
func EnvironmentFile(path string, r io.Reader, lookup Lookup) ([]string, error) {
	var out []string
	var errs []error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		fault := func(text string) { errs = append(errs, fmt.Errorf("%s:%d: %s", path, n, text)) }
		if !utf8.ValidString(line) {
			fault("is not UTF-8 text")
			continue
		}
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, given := strings.Cut(line, "=")
		switch {
		case name == "":
			fault(fmt.Sprintf("%q: has no name, want NAME=VALUE or NAME", line))
		case strings.ContainsFunc(name, unicode.IsSpace):
			fault(fmt.Sprintf("name %q: has white space", name))
		case given:
			out = append(out, name+"="+value)
		default:
			if value, ok := lookup(name); ok {
				out = append(out, name+"="+value)
			}
		}
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", path, err))
	}
	return out, errors.Join(errs...)
}
