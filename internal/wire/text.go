package wire

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Text returns the text of err for a reader, one line for each fault. Errors
// carry their kind by wrapping it, mostly at their end, where its name repeats
// what was said: "web: is there already: already exists". It is dropped.
// What a system call said, which may read the same, is not.
func Text(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, e.Error())
		}
		if err.Error() == strings.Join(lines, "\n") { // errors.Join
			for i, e := range joined.Unwrap() {
				lines[i] = Text(e)
			}
			return strings.Join(lines, "\n")
		}
	}
	if inner := errors.Unwrap(err); inner != nil && inner.Error() == err.Error() {
		return Text(inner)
	}
	wrapped := wrappedKinds(err, nil)
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = withoutKinds(line, wrapped)
	}
	return strings.Join(lines, "\n")
}

// withoutKinds drops the names of kinds between the colons and at the end of a
// line, each as often as it was wrapped.
func withoutKinds(line string, wrapped []error) string {
	wrapped = slices.Clone(wrapped)
	for {
		i := slices.IndexFunc(wrapped, func(kind error) bool { return strings.HasSuffix(line, ": "+kind.Error()) })
		if i < 0 {
			break
		}
		line = strings.TrimSuffix(line, ": "+wrapped[i].Error())
		wrapped = slices.Delete(wrapped, i, i+1)
	}
	for _, kind := range wrapped {
		line = strings.Replace(line, ": "+kind.Error()+": ", ": ", 1)
	}
	return line
}

// wrappedKinds appends the kinds that err wraps itself and names. The text of one
// that came over the wire is without its kind already; that of a context's end
// says what happened.
func wrappedKinds(err error, found []error) []error {
	if _, remote := err.(*remoteError); remote || err == nil { //nolint:errorlint // walks the tree itself
		return found
	}
	for _, k := range kinds {
		if err == k.kind && err != context.Canceled && err != context.DeadlineExceeded { //nolint:errorlint // walks the tree itself
			return append(found, err)
		}
	}
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil && strings.Contains(err.Error(), inner.Error()) {
			return wrappedKinds(inner, found)
		}
	case interface{ Unwrap() []error }:
		inner := e.Unwrap()
		if i := slices.IndexFunc(inner, func(e error) bool { return e != nil && e.Error() == err.Error() }); i >= 0 {
			return wrappedKinds(inner[i], found) // the others say nothing
		}
		for _, e := range inner {
			found = wrappedKinds(e, found)
		}
	}
	return found
}
