package resource

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/containerd/errdefs"
)

// Bounds of what users may name and write.
const (
	MaxNameLength       = 63 // of a DNS label (RFC 1035 section 2.3.4): names are looked up
	MaxLabelKeyLength   = 128
	MaxLabelValueLength = 4096
	MaxLabels           = 64
)

// Sets of letters. To compile regular expressions takes a good part of the start
// of a small process; all processes of Patchbay have this package.
const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// isWord reports whether s begins with one of the letters of first and goes on with
// those of rest.
func isWord(s, first, rest string) bool {
	return s != "" && strings.Contains(first, s[:1]) && strings.Trim(s, rest) == ""
}

// invalid reports faults as one errdefs.ErrInvalidArgument that reads one line
// for each; nil for none.
func invalid(faults ...error) error {
	if err := errors.Join(faults...); err != nil {
		return &invalidError{err}
	}
	return nil
}

// invalidError gives faults their kind without adding to their text, which is
// one line for each.
type invalidError struct{ faults error }

func (e *invalidError) Error() string   { return e.faults.Error() }
func (e *invalidError) Unwrap() []error { return []error{errdefs.ErrInvalidArgument, e.faults} }

// ValidateName checks the name of a resource; kind is the word for it in the
// error. Upper case is not accepted: names are looked up by DNS, where case does
// not count, so that "Web" and "web" would be one name there.
func ValidateName(kind, name string) error {
	switch {
	case name == "":
		return invalid(fmt.Errorf("%s name is empty: want 1 to %d of a-z, 0-9, '.', '_', '-'", kind, MaxNameLength))
	case len(name) > MaxNameLength:
		return invalid(fmt.Errorf("%s name %q: is %d bytes long, want at most %d", kind, name, len(name), MaxNameLength))
	case kind == "network" && name == "none":
		return invalid(fmt.Errorf("%s name %q: means no network at all, want another", kind, name))
	case !isWord(name, lower+digits, lower+digits+"._-"):
		return invalid(fmt.Errorf("%s name %q: want 1 to %d of a-z, 0-9, '.', '_', '-', a letter or digit first", kind, name, MaxNameLength))
	}
	return nil
}

// ValidateLabels checks the labels of a resource.
func ValidateLabels(labels map[string]string) error {
	var faults []error
	if len(labels) > MaxLabels {
		faults = append(faults, fmt.Errorf("%d labels: want at most %d", len(labels), MaxLabels))
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if key == "" || len(key) > MaxLabelKeyLength || !printable(key) || strings.ContainsAny(key, " =") {
			faults = append(faults, fmt.Errorf("label %q: want a key of 1 to %d printable bytes without space and '='", key, MaxLabelKeyLength))
		}
		if v := labels[key]; len(v) > MaxLabelValueLength || !utf8.ValidString(v) {
			faults = append(faults, fmt.Errorf("label %q: want a value of at most %d bytes of UTF-8", key, MaxLabelValueLength))
		}
	}
	return invalid(faults...)
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
