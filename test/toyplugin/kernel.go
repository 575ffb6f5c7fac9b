package main

import (
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// notThere tells that there is no such interface.
func notThere(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}

// list asks the kernel again when what it listed changed meanwhile, which
// netlink reports as an error beside the data.
func list[T any](ask func() (T, error)) (T, error) {
	for try := 0; ; try++ {
		all, err := ask()
		if try == 20 || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
}
