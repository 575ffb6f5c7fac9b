// Package tomlfile reads configuration files strictly, and says in which line
// what is wrong with them.
package tomlfile

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/pelletier/go-toml/v2"
)

// Decode reads a TOML document into v. A key that v has no field for is a
// fault. Errors are errdefs.ErrInvalidArgument, one line that names the file and
// the line in it. path is for them alone.
func Decode(path string, in io.Reader, v any) error {
	d := toml.NewDecoder(in)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		return nil
	}
	var unknown *toml.StrictMissingError // before the other, which it holds
	if errors.As(err, &unknown) {
		keys := make([]string, len(unknown.Errors))
		for i, e := range unknown.Errors {
			row, _ := e.Position()
			keys[i] = fmt.Sprintf("line %d: unknown key %q", row, strings.Join(e.Key(), "."))
		}
		return &fileError{path, strings.Join(keys, ", ")}
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		row, _ := wrong.Position()
		return &fileError{path, fmt.Sprintf("line %d: %s", row, told(wrong))}
	}
	return &fileError{path, err.Error()}
}

// told says what is wrong in words of the document, which knows nothing of Go's types.
func told(wrong *toml.DecodeError) string {
	text := strings.TrimPrefix(wrong.Error(), "toml: ")
	has, into, mismatch := strings.Cut(strings.TrimPrefix(text, "cannot decode TOML "), " into ")
	if !mismatch {
		return text
	}
	if i := strings.LastIndex(into, " of type "); i >= 0 {
		into = into[i+len(" of type "):]
	}
	return fmt.Sprintf("key %q: has a value of the kind %s, want %s", strings.Join(wrong.Key(), "."), has, wanted(into))
}

// wanted names the kind of value that goes into a Go type.
func wanted(goType string) string {
	switch {
	case goType == "string":
		return "a string"
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "a whole number"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	case strings.HasPrefix(goType, "[]"):
		return "an array"
	}
	return "a table"
}

type fileError struct{ path, what string }

func (e *fileError) Error() string { return e.path + ": " + e.what }
func (e *fileError) Unwrap() error { return errdefs.ErrInvalidArgument }
