// Package document puts what was measured into a page, between two lines that
// mark its place.
package document

import (
	"fmt"
	"os"
	"strings"

	"patchbay.dev/patchbay/internal/atomicfile"
)

// Put replaces what is between the lines "<!-- NAME -->" and "<!-- /NAME -->" of
// a file. A file without both of them, in this order, is an error and stays as it
// is.
func Put(path, name, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	put, err := replace(string(page), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, []byte(put), 0o644)
}

func replace(page, name, text string) (string, error) {
	opening, closing := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	before, rest, opened := strings.Cut(page, opening)
	_, after, closed := strings.Cut(rest, closing)
	if !opened || !closed {
		return "", fmt.Errorf("want the lines %q and %q, with the figures to be between them", strings.TrimSpace(opening), strings.TrimSpace(closing))
	}
	return before + opening + "\n" + strings.TrimSpace(text) + "\n\n" + closing + after, nil
}
