package parse

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moby/sys/capability"
	"github.com/moby/sys/signal"
)

// Signal checks the name or number of a signal (signal(7)); what names it in the
// error.
func Signal(what, s string) error {
	number, err := signal.ParseSignal(s)
	if err != nil || !signal.ValidSignalForPlatform(number) {
		return fmt.Errorf("%s %q: want a name like TERM or a number of 1 to 64", what, s)
	}
	return nil
}

// Capabilities returns those of names that are capabilities, with or without
// CAP_ and in any case, or ALL, and an error for the others. Whether the kernel has
// them is for patchbayd to say.
func Capabilities(names []string) (known []string, err error) {
	valid := map[string]bool{"all": true}
	for _, c := range capability.ListKnown() {
		valid[c.String()] = true
	}
	var errs []error
	for _, name := range names {
		if !valid[strings.TrimPrefix(strings.ToLower(name), "cap_")] {
			errs = append(errs, fmt.Errorf("capability %q: is unknown, want ALL or a name of capabilities(7), like NET_ADMIN", name))
			continue
		}
		known = append(known, name)
	}
	return known, errors.Join(errs...)
}
