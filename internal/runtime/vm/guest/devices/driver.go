package devices

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/vm/early"
)

// LoadUsual loads the drivers that every machine needs and those that this one is told
// to.
func LoadUsual() error {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	for _, driver := range append([]string{""}, early.Drivers(string(line))...) {
		if err := load(driver); err != nil {
			return err
		}
	}
	return nil
}

// load loads the modules of a driver, in their order; with "" those of all that every
// machine needs. One that the kernel has already is not an error.
func load(driver string) error {
	list, err := os.ReadFile(early.List(driver))
	if err != nil {
		return fmt.Errorf("driver %s: %w", driver, err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		f, err := os.Open(filepath.Join(early.Modules, name))
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load module %s: %w", name, err)
		}
	}
	return nil
}
