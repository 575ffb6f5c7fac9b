// Package output writes what commands show: tables for people, JSON for
// programs.
package output

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	units "github.com/docker/go-units"
)

// Format is a way to show resources.
type Format string

// The formats.
const (
	FormatTable Format = "table"
	FormatJSON  Format = "json"
)

// ParseFormat parses the value of --format.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case FormatTable, FormatJSON:
		return f, nil
	}
	if strings.Contains(s, "{{") {
		return "", fmt.Errorf("format %q: there are no templates; json shows everything, for other programs such as jq to take a part of", s)
	}
	return "", fmt.Errorf("format %q: want table or json", s)
}

// Printable is s with "?" in place of control characters: what others have named is
// shown on a terminal.
func Printable(s string) string {
	if strings.IndexFunc(s, unicode.IsControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

// Age says how long ago t was.
func Age(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strings.ToLower(units.HumanDuration(max(now.Sub(t), 0)))
}

// Size says how many bytes n are, in powers of 1000.
func Size(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }

// ellipsis says that something was cut.
const ellipsis = "…"

// Short cuts s to at most n characters and says so by an ellipsis, unless it is
// to be whole.
func Short(s string, n int, whole bool) string {
	if whole || utf8.RuneCountInString(s) <= n {
		return s
	}
	count := 0
	for at := range s {
		if count++; count == n {
			return s[:at] + ellipsis
		}
	}
	return s
}

// ShortDigest cuts a digest, "algorithm:hex", to the 12 digits that people
// compare. Anything else stays.
func ShortDigest(digest string, whole bool) string {
	algorithm, hex, ok := strings.Cut(digest, ":")
	if whole || !ok || len(hex) <= 12 || strings.Contains(algorithm, "/") {
		return digest
	}
	return hex[:12]
}
